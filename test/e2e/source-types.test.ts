/** Quantised files pruned without a `--dtype`: what no refit changes is in the output as the source has it, byte for byte. STRUPRUNE_LONG=1: more rows. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { survey } from '../../lib/survey';
import { long } from '../long';
import { hashesOf } from './files';
import { mixedGguf } from './mixed-gguf';
import { CALIBRATION_IDS, workspace } from './models';
import { stopAfter } from './stop-after';

const work = workspace();
test.after.always(() => work.remove());
const WINDOW = 32;

const options = (more: Partial<PruneOptions> = {}): PruneOptions => ({
  output: work.path('out.gguf'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 32 * WINDOW,
  tuneTokens: 0,
  surveyTokens: 16 * WINDOW,
  window: WINDOW,
  sparsity: 0.25,
  threads: 1,
  ...more,
});

/** Rows of a file's tensors, as hex. */
function rowsOf(file: string): Map<string, { dtype: string; rows: string[] }> {
  const bytes = readFileSync(file);
  return new Map(
    parseGguf(file).tensors.map(({ name, dtype, shape, offset, bytes: length }) => {
      const count = shape.length > 1 ? shape[0]! : 1;
      const size = length / count;
      const rows = Array.from({ length: count }, (_, row) =>
        bytes.toString('hex', offset + row * size, offset + (row + 1) * size),
      );
      return [name, { dtype, rows }];
    }),
  );
}

/** Whether `part` is what is left of `whole` when some rows go. */
function isSubsequence(part: string[], whole: string[]): boolean {
  let at = 0;
  for (const row of whole) if (row === part[at]) at += 1;
  return at === part.length;
}

/**
 * A file as a quantiser with an importance matrix leaves it: no block of Q4_0 has its outermost step, so that ggml's
 * reference rules would choose other scales for every one of them. Some matrices have 8 bits.
 */
async function sourceFile(): Promise<string> {
  const model = work.model('llama2');
  const [base, other] = await Promise.all(
    (['q4_0', 'q8_0'] as const).map(
      async (dtype) =>
        (await exportModel(model, { output: work.path(`${dtype}.gguf`), dtype })).output,
    ),
  );
  const bytes = readFileSync(base!);
  for (const { dtype, offset, bytes: length } of parseGguf(base!).tensors) {
    if (dtype !== 'Q4_0') continue;
    // Two bytes of scale, then 32 steps of half a byte.
    for (let at = offset; at < offset + length; at += 18) {
      for (let i = at + 2; i < at + 18; i++) {
        const [low, high] = [bytes[i]! & 15, bytes[i]! >> 4];
        bytes[i] = Math.max(low, 2) | (Math.max(high, 2) << 4);
      }
    }
  }
  writeFileSync(base!, bytes);
  return mixedGguf(work.path('mixed.gguf'), {
    base: base!,
    other: other!,
    names: /blk\.0\.(attn_v|ffn_up)|blk\.1\.(attn_q|ffn_gate)/,
  });
}

const SOURCE = sourceFile();
const ROWS = /attn_[qkv]|ffn_gate|ffn_up|token_embd|^output\.weight/;
const ATTENTION_ROWS = /attn_[qkv]|token_embd|^output\.weight/;
const ALL_BUT_DOWN = /attn_|ffn_gate|ffn_up|token_embd|^output\.weight/;
const ALL_BUT_O = /attn_[qkv]|ffn_|token_embd|^output\.weight/;

for (const [name, more, rows, refitted] of [
  ['the defaults', {}, ROWS, 'attention.out, ffn.out'],
  [
    'equal shares',
    { allocation: 'uniform', scope: 'all', sparsity: 0.4 },
    ROWS,
    'attention.out, ffn.out',
  ],
  ['no feedback', { alpha: 0, beta: 0 }, ROWS, 'attention.out, ffn.out'],
  [
    'one-shot, no refit',
    { method: 'wanda-sp', allocation: 'threshold' },
    ROWS,
    'attention.out, ffn.out',
  ],
  ['FFN alone', { scope: 'ffn' }, ALL_BUT_DOWN, 'ffn.out'],
  ['attention alone', { scope: 'attention', sparsity: 0.1 }, ALL_BUT_O, 'attention.out'],
  [
    'all refitted',
    { ffnSolver: 'gauss-newton' },
    ATTENTION_ROWS,
    'attention.out, ffn.gate, ffn.up, ffn.out',
  ],
] as const) {
  test(`${name}: rows that stay are copied`, async (t) => {
    const source = await SOURCE;
    const before = rowsOf(source);
    const result = await prune(source, options(more));
    t.is(result.dtype, 'q4_0');
    t.is(result.verification.actual, result.verification.expected);
    let shorter = 0;
    for (const [tensor, { dtype, rows: after }] of rowsOf(result.output)) {
      if (tensor.includes('norm')) continue;
      const own = before.get(tensor)!;
      if (rows.test(tensor)) {
        t.is(dtype, own.dtype, tensor);
        t.true(isSubsequence(after, own.rows), tensor);
        if (after.length < own.rows.length) shorter += 1;
      } else t.is(dtype, 'Q4_0', tensor);
    }
    t.true(shorter > 0 || rows === ATTENTION_ROWS);
    const [types, ...others] = result.notes;
    t.is(types, `${refitted}: Q4_0; every other matrix: as the source has it`);
    const couldRefit = !('method' in more || 'ffnSolver' in more || refitted === 'attention.out');
    t.is(others.length, couldRefit ? 1 : 0);
    for (const note of others) t.regex(note, /^gate and up stay as .*--ffn-solver gauss-newton/);
  });
}

test('with nothing removed the file has every matrix of its source', async (t) => {
  const source = await SOURCE;
  const settings = { method: 'magnitude-l2', allocation: 'uniform', sparsity: 0 } as const;
  const pruned = await prune(source, options(settings));
  const copied = await exportModel(source, { output: work.path('copy.gguf') });
  t.is(copied.dtype, 'q4_0+q8_0');
  for (const { output } of [pruned, copied]) t.deepEqual(rowsOf(output), rowsOf(source));
});

test('with a type of its own every matrix has it', async (t) => {
  const { output, notes } = await prune(await SOURCE, options({ dtype: 'q4_0' }));
  for (const [tensor, { dtype }] of rowsOf(output)) {
    if (tensor.startsWith('blk.') && !tensor.includes('norm')) t.is(dtype, 'Q4_0', tensor);
  }
  t.deepEqual(notes, []);
});

test('widths that are no whole blocks: what is refitted in 16 bits, the rest as it was', async (t) => {
  const before = rowsOf(await SOURCE);
  const { output, notes } = await prune(await SOURCE, options({ multiple: 4 }));
  for (const [tensor, { dtype }] of rowsOf(output)) {
    if (tensor.includes('norm')) continue;
    t.is(dtype, ROWS.test(tensor) ? before.get(tensor)!.dtype : 'F16', tensor);
  }
  t.is(notes[0], 'attention.out, ffn.out: F16; every other matrix: as the source has it');
  t.deepEqual((await plan(await SOURCE, options({ multiple: 4 }))).notes, notes.slice(0, 2));
});

test('an interrupted run goes on to the same bytes', async (t) => {
  const source = await SOURCE;
  const whole = await prune(source, options());
  const settings = options();
  await stopAfter(1, source, settings);
  await t.throwsAsync(prune(source, { ...settings, resume: true, dtype: 'q4_0' }), {
    message:
      /types of matrices attention.q ffn.gate: Q4_0 and Q8_0; .*, now attention.q attention.k attention.v attention.out ffn.gate ffn.up ffn.out: Q4_0; outside: Q8_0/,
  });
  const { resumedBlocks } = await prune(source, { ...settings, resume: true });
  t.deepEqual(resumedBlocks, [0]);
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

for (const [more, closest] of [
  [{}, 0.96],
  // A step of all layers at once.
  [{ allocation: 'uniform', scope: 'all' }, 0.88],
  ...long([
    [{ allocation: 'energy' }, 0.96],
    [{ apart: true }, 0.95],
  ] as const),
] as const) {
  test(`a target in bytes is met, and hardly more: ${JSON.stringify(more)}`, async (t) => {
    // Heads of 4 bits, channels of 8: a weight has half the bytes of another.
    const model = join(__dirname, '../../assets/tiny');
    const files = await Promise.all(
      (['q4_0', 'q8_0'] as const).map((dtype) =>
        exportModel(model, { output: work.path(`${dtype}.gguf`), dtype }),
      ),
    );
    const [base, other] = files.map(({ output }) => output) as [string, string];
    const source = await mixedGguf(work.path('heads.gguf'), { base, other, names: /ffn/ });
    const few = { calibrationTokens: 8 * WINDOW, surveyTokens: 8 * WINDOW };
    const settings = { ...more, ...few, layerWeights: 'output', maxLayerSparsity: 0.8 } as const;
    const to = (targetSize: number) =>
      prune(source, options({ ...settings, sparsity: undefined, targetSize }));
    const { bytesBefore } = await prune(source, options({ ...settings, sparsity: 0.01 }));
    for (const share of [0.9, 0.7, 0.55]) {
      const { bytesAfter } = await to(Math.floor(share * bytesBefore));
      const reached = bytesAfter / (share * bytesBefore);
      t.true(reached <= 1 && reached > closest, `${share}: ${reached}`);
    }
    const { message } = (await t.throwsAsync(to(1000), { code: 'ERR_ARGUMENT' }))!;
    const least = Number(/ keep ([\d,]+) bytes in q8_0/.exec(message)![1]!.replaceAll(',', ''));
    t.true((await to(least)).bytesAfter <= least);
  });
}

test('the command that is noted makes the same file', async (t) => {
  const source = await SOURCE;
  for (const more of [{}, { multiple: 4 }]) {
    const first = await prune(source, options(more));
    t.is(first.settings.dtype, null);
    const { multiple } = first.settings;
    const again = await prune(source, options({ multiple: Number(multiple) }));
    t.deepEqual(hashesOf(again.output), hashesOf(first.output));
  }
});

test('rounds of gate and up that are taken back leave what was solved for', async (t) => {
  const source = await SOURCE;
  const settings = { ffnSolver: 'gauss-newton', scope: 'ffn', allocation: 'uniform' } as const;
  const result = await prune(source, options(settings));
  t.is(result.verification.actual, result.verification.expected);
  const plain = await prune(source, options({ ...settings, dtype: 'q4_0' }));
  // Gate and up are of q4_0 either way, and what is refitted starts from the same.
  for (const [i, { relativeError }] of result.layerStats.entries()) {
    const other = plain.layerStats[i]!.relativeError!;
    t.true(
      Math.abs(relativeError! - other) < 0.2 * other,
      `layer ${i}: ${relativeError}, ${other}`,
    );
  }
});

test('a folder in FP8 becomes one in BF16, and the run says so', async (t) => {
  const output = work.path('from-fp8');
  const result = await prune(work.model('llama-fp8'), options({ format: 'hf', output }));
  t.is(result.dtype, 'bf16');
  const note = 'weights in FP8 become BF16: config.json has no quantization_config';
  t.true(result.notes.includes(note), result.notes.join());
  const { expected, actual } = result.verification;
  t.true(Math.abs(actual - expected) < 1e-7);
  const { config, blocks } = await openCheckpoint(output);
  t.is(config.quantization_config, undefined);
  t.true(Object.values(blocks[0]!).every(({ dtype, scales }) => dtype === 'BF16' && !scales));
});

test('a survey serves the runs whose weights it has seen, and no others', async (t) => {
  const source = await SOURCE;
  const file = work.path('survey');
  const { threads, output, sparsity, tuneTokens, ...asked } = options({ format: 'gguf' });
  await survey(source, { ...asked, threads, saveCalibration: file });
  const kept = options({ fromCalibration: file });
  t.deepEqual(
    hashesOf((await prune(source, kept)).output),
    hashesOf((await prune(source, options())).output),
  );
  const other = options({ fromCalibration: file, ffnSolver: 'gauss-newton' });
  await t.throwsAsync(prune(source, other), { message: /types of matrices/ });
  const own = { ...asked, threads, saveCalibration: file, force: true };
  await survey(source, { ...own, ffnSolver: 'gauss-newton' });
  await t.notThrowsAsync(
    prune(source, options({ fromCalibration: file, ffnSolver: 'gauss-newton' })),
  );
});
