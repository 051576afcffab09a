/** A folder of transformers.js, pruned, loads there as it is. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { pruneGraph } from '../../lib/prune-graph';
import { isLong } from '../long';

const work = mkdtempSync(join(tmpdir(), 'struprune-graph-folder-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const { STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES, STRUPRUNE_ENCODER } = process.env;
const env = { ...process.env, PYTHONPATH: `${STRUPRUNE_GRAPH_ORACLES}:${STRUPRUNE_ORACLES}` };

interface Found {
  ids: number[];
  states: number[][];
}

function printed(program: string, script: string, ...args: string[]): Found[] {
  const words = [join(__dirname, script), ...args];
  const options = { env, encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
  return JSON.parse(execFileSync(program, words, options) || '[]');
}

const TEXTS = [
  'Whole heads are gone, and what reads them was refitted.',
  'A cat sat on the mat; nobody asked why.',
];

const run = isLong ? test.serial : test.serial.skip;

/** The share of the weights that goes, and of the bytes that is left at most: most of them are the embedding table's. */
for (const [sparsity, bytes] of [
  [0.3, 0.87],
  [0.5, 0.78],
] as const) {
  run(
    `an encoder without ${sparsity}: tokens and states of transformers.js are those of onnxruntime`,
    async (t) => {
      t.timeout(900_000);
      const [folder, output] = [join(work, `encoder ${sparsity}`), join(work, `small ${sparsity}`)];
      execFileSync('python3', [join(__dirname, 'graph_folder.py'), STRUPRUNE_ENCODER!, folder], {
        env,
      });
      const result = await pruneGraph(folder, {
        ...{ output, sparsity, scope: 'all', allocation: 'uniform' },
        ...{ calibrationTokens: 4096, window: 32 },
      });
      t.true(result.bytesAfter < bytes * result.bytesBefore);
      const written = join(output, 'onnx', 'model.onnx');
      execFileSync('python3', [join(__dirname, 'graph_check.py'), written], { env });
      const expected = printed('python3', 'graph_folder.py', 'states', output, ...TEXTS);
      const found = printed(
        process.execPath,
        'transformers_states.mjs',
        ...[process.env.STRUPRUNE_TRANSFORMERS_JS!, output, ...TEXTS],
      );
      t.is(found.length, TEXTS.length);
      found.forEach(({ ids, states }, i) => {
        t.deepEqual(ids, expected[i]!.ids);
        const gaps = states.flatMap((row, j) =>
          row.map((value, k) => Math.abs(value - expected[i]!.states[j]![k]!)),
        );
        const most = Math.max(...gaps);
        t.true(gaps.length === 384 * ids.length && most < 1e-4, `${most}`);
      });
    },
  );
}
