/** Folders that we write, in vLLM on a CPU: STRUPRUNE_LONG=1 runs it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExportKind } from '../../lib/checkpoint/export';
import { generate } from '../../lib/generate';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { isLong } from '../long';

const PROMPT = 'The water of the river';
const TOKENS = 24;
const DECI = 'DeciLMForCausalLM';

const run = isLong ? test : test.skip;
const work = mkdtempSync(join(tmpdir(), 'struprune-vllm-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

/** Widths alone cannot give that much. */
const DEPTH = {
  scope: 'ffn',
  depth: true,
  sparsity: 0.05,
  maxLayerSparsity: 0.02,
  layerWeights: 'probe',
  calibrationTokens: 1024,
} as const;
const ROWS: [name: string, kind: ExportKind, options: Partial<PruneOptions>, own: string[]][] = [
  ['widths and KV heads that differ between blocks', 'own-modeling', { scope: 'all' }, []],
  ['equal widths', 'stock', { scope: 'ffn', allocation: 'uniform' }, []],
  ["widths that differ, in vLLM's own class", 'own-modeling', { scope: 'ffn' }, [DECI]],
  ['sublayers gone, in it', 'own-modeling', DEPTH, [DECI]],
];
for (const [index, [name, kind, options, own]] of ROWS.entries()) {
  run(`SmolLM2, ${name}: the tokens that transformers and we have`, async (t) => {
    const result = await prune(process.env.STRUPRUNE_MODEL!, {
      output: join(work, String(index)),
      sparsity: 0.2,
      calibrationTokens: 4096,
      tuneTokens: 0,
      layerWeights: 'none',
      ffnSolver: 'output',
      ...options,
    });
    t.is(result.kind, kind);
    const gone = result.layers.some(({ ffnAfter, kvHeadsAfter }) => ffnAfter * kvHeadsAfter === 0);
    t.is(gone, 'depth' in options);
    t.is(
      result.notes.some((note) => note.includes(DECI)),
      own.length > 0,
    );
    const ours = await generate(result.output, { prompt: PROMPT, maxTokens: TOKENS });
    const script = join(__dirname, 'vllm_tokens.py');
    const printed = execFileSync(
      process.env.STRUPRUNE_VLLM!,
      [script, result.output, PROMPT, String(TOKENS), ...own],
      {
        env: {
          ...process.env,
          PYTHONPATH: '',
          HF_HOME: work,
          HF_HUB_OFFLINE: '1',
          VLLM_NO_USAGE_STATS: '1',
          VLLM_ENABLE_V1_MULTIPROCESSING: '0',
          VLLM_CPU_KVCACHE_SPACE: '1',
          VLLM_CPU_OMP_THREADS_BIND: 'nobind',
        },
        encoding: 'utf8',
        stdio: 'pipe',
      },
    );
    const answers = JSON.parse(printed.trim().split('\n').at(-1)!);
    t.is(answers.vllm.length, TOKENS);
    t.deepEqual(answers.vllm, answers.transformers);
    t.deepEqual(answers.vllm.slice(0, ours.tokens.length), ours.tokens);
    t.true(ours.tokens.length > TOKENS / 2);
  });
}
