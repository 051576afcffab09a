/** Tuning in a whole run: on fresh text, towards the dense model, the same bytes however often the run was stopped. STRUPRUNE_LONG=1: more rows. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { embeddedMix } from '../../lib/embedded';
import { evaluate } from '../../lib/evaluate';
import { type PruneOptions, settingsOf } from '../../lib/options';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { resolve } from '../../lib/spec';
import { long } from '../long';
import { hashesOf, safetensorsRows } from './files';
import { CALIBRATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;

function options(more: Partial<PruneOptions> = {}): PruneOptions {
  return {
    output: join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out'),
    calibration: CALIBRATION,
    calibrationTokens: 16 * WINDOW,
    tuneTokens: 40 * WINDOW,
    window: WINDOW,
    sparsity: 0.3,
    allocation: 'uniform',
    ffnSolver: 'output',
    threads: 1,
    ...more,
  };
}

const TINY = join(__dirname, '../../assets/tiny');

test.serial(
  'windows that nobody trained on come closer to the dense model, and so does mixed text',
  async (t) => {
    const more = { window: 128, calibrationTokens: 2048, tuneTokens: 8192, sparsity: 0.4 };
    // A quarter as many of the package's mixed text train beside them.
    const [alone, mixed] = [
      await prune(TINY, options({ ...more, tuneMix: 0 })),
      await prune(TINY, options(more)),
    ];
    t.like(alone.tuning!, { tokens: 8192, mixTokens: 0 });
    t.like(mixed.tuning!, { tokens: 10240, mixTokens: 2048 });
    for (const { tuning, warnings, settings } of [alone, mixed]) {
      t.deepEqual(warnings, []);
      t.is(settings.tuneTokens, 8192);
      for (const part of ['heldOut', 'trained'] as const) {
        t.true(tuning!.after[part] < 0.9 * tuning!.before[part], JSON.stringify(tuning));
      }
    }
    const onMix = async ({ output }: PruneResult) =>
      (await evaluate(output, { text: embeddedMix().evaluation, maxTokens: 4096, window: 128 }))
        .perplexity;
    const perplexities = [await onMix(alone), await onMix(mixed)];
    t.true(perplexities[1]! < 0.97 * perplexities[0]!, `${perplexities}`);
  },
);

test('StruPrune tunes by default, on as many tokens as calibrate; what does not refit does not', async (t) => {
  const source = await openCheckpoint(TINY);
  const rows: [more: Partial<PruneOptions>, tokens: number][] = [
    [{}, 65536],
    [{ calibrationTokens: 8192 }, 8192],
    [{ tuneTokens: 0 }, 0],
    [{ refit: false }, 0],
    [{ method: 'flap' }, 0],
    [{ method: 'flap', tuneTokens: 512 }, 512],
  ];
  for (const [more, tokens] of rows) {
    const settings = settingsOf({ output: 'out', sparsity: 0.2, ...more });
    const { tuneTokens, tuneMix } = resolve(source, settings).settings;
    t.deepEqual([tuneTokens, tuneMix], [tokens, 0], JSON.stringify(more));
    const own = resolve(source, { ...settings, calibration: 'own.txt' }).settings;
    t.deepEqual([own.tuneTokens, own.tuneMix], [tokens, tokens / 4], JSON.stringify(more));
    const mix = relative(process.cwd(), embeddedMix().calibration);
    t.is(resolve(source, { ...settings, calibration: mix }).settings.tuneMix, 0);
  }
});

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama3-tied', { scope: 'all', dtype: 'bf16' }],
  ['llama2', { format: 'gguf', dtype: 'q8_0' }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['gpt-neox', { scope: 'all' }],
    ['gemma3-unlike', { dtype: 'bf16' }],
    ['opt-post', { method: 'flap', dtype: 'f32' }],
    ['qwen3', {}],
    ['gemma2-unlike', { dtype: 'bf16' }],
    ['granite', { dtype: 'bf16' }],
    ['olmo2', { dtype: 'bf16' }],
    ['opt-pre', { dtype: 'f32' }],
  ]),
];
for (const [name, more] of ROWS) {
  test.serial(
    `a stopped run ends with the same bytes: ${name}, ${JSON.stringify(more)}`,
    async (t) => {
      const model = work.model(name);
      const whole = await prune(model, options(more));
      const settings = options(more);
      const controller = new AbortController();
      // The dense model, the pruned one, three steps, and a block of the next.
      const enough = whole.layers.length * 8 + 1;
      const stopping = prune(model, {
        ...settings,
        signal: controller.signal,
        onProgress: ({ stage, done }) => {
          if (stage === 'tune' && done === enough) controller.abort(new Error('enough'));
        },
      });
      await t.throwsAsync(stopping, { message: 'enough' });
      const journal = readdirSync(`${settings.output}.struprune-journal`);
      t.true(journal.includes('tune.safetensors') && !journal.includes('final-norm.bin'));
      const isQuantised = more.dtype === 'q8_0';
      t.is(
        journal.some((name) => name.startsWith('tune-')),
        !isQuantised,
        journal.join(),
      );
      let first = 0;
      const resumed = await prune(model, {
        ...settings,
        resume: true,
        onProgress: ({ stage, message }) => {
          if (stage === 'tune') first ||= Number(/step (\d+)/.exec(message)?.[1] ?? 0);
        },
      });
      t.is(first, 4, 'the first three steps are in the journal');
      t.deepEqual({ ...resumed.tuning, seconds: 0 }, { ...whole.tuning, seconds: 0 });
      t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
      t.deepEqual(readdirSync(dirname(settings.output)), [basename(settings.output)]);
    },
  );
}

test.serial(
  'where a block of the journal is damaged, tuning begins anew, with the same bytes',
  async (t) => {
    const model = work.model('llama2');
    const whole = await prune(model, options());
    const settings = options();
    const controller = new AbortController();
    const stopping = prune(model, {
      ...settings,
      signal: controller.signal,
      onProgress: ({ stage, message }) => {
        if (stage === 'tune' && message.startsWith('step 4')) controller.abort(new Error('enough'));
      },
    });
    await t.throwsAsync(stopping, { message: 'enough' });
    const path = join(`${settings.output}.struprune-journal`, 'tune-0-1.safetensors');
    const bytes = readFileSync(path);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(path, bytes);
    const { warnings } = await prune(model, { ...settings, resume: true });
    t.deepEqual(warnings, ['what the journal has of tuning is damaged: it begins anew']);
    t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
  },
);

/** Tuned and not. */
async function both(more: Partial<PruneOptions> = {}): Promise<[string, string]> {
  const model = work.model('llama2');
  const tuned = await prune(model, options(more));
  const plain = await prune(model, options({ ...more, tuneTokens: 0 }));
  return [tuned.output, plain.output];
}

test.serial('without changes, matrices but o and down have the bytes that they had', async (t) => {
  const [tuned, plain] = await both({ tuneRank: 0 });
  const rows = (folder: string, name: string) => safetensorsRows(folder, `model.${name}.weight`);
  for (const name of ['self_attn.q_proj', 'mlp.up_proj', 'mlp.gate_proj']) {
    t.true(isDeepStrictEqual(rows(tuned, `layers.1.${name}`), rows(plain, `layers.1.${name}`)));
  }
  for (const name of ['layers.1.self_attn.o_proj', 'layers.1.mlp.down_proj', 'norm']) {
    t.false(isDeepStrictEqual(rows(tuned, name), rows(plain, name)), name);
  }
});

test.serial('every map changes by a product of no more than the rank', async (t) => {
  const rank = 3;
  const [tuned, plain] = await both({ tuneRank: rank, dtype: 'f32' });
  for (const name of ['self_attn.q_proj', 'self_attn.v_proj', 'mlp.gate_proj', 'mlp.up_proj']) {
    const rows = (folder: string) =>
      safetensorsRows(folder, `model.layers.1.${name}.weight`).map(
        (hex) => new Float32Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer),
      );
    const [after, before] = [rows(tuned), rows(plain)];
    const change = after.map((row, i) => Array.from(row, (value, j) => value - before[i]![j]!));
    const sizes = pivots(change);
    t.true(sizes[rank - 1]! > 1e-2 * sizes[0]! && sizes[rank]! < 1e-3 * sizes[0]!, `${sizes}`);
  }
});

/** Sizes of the first pivots of an elimination with full pivoting. */
function pivots(matrix: number[][], count = 6): number[] {
  const left = matrix.map((row) => [...row]);
  return Array.from({ length: count }, () => {
    let [size, i, j] = [0, 0, 0];
    for (const [r, row] of left.entries()) {
      for (const [c, value] of row.entries()) {
        if (Math.abs(value) > size) [size, i, j] = [Math.abs(value), r, c];
      }
    }
    const pivot = left[i]!.slice();
    for (const row of left) {
      const share = row[j]! / pivot[j]!;
      for (const [c, value] of pivot.entries()) row[c]! -= share * value;
    }
    return size;
  });
}

test.serial('norms alone are tuned where columns have few steps', async (t) => {
  const [tuned, plain] = await both({ format: 'gguf', dtype: 'q4_1' });
  const tensors = (file: string) => {
    const bytes = readFileSync(file);
    return parseGguf(file, 0).tensors.map(({ name, offset, bytes: length }) => ({
      name,
      bytes: bytes.subarray(offset, offset + length),
    }));
  };
  const others = tensors(plain);
  const unlike = tensors(tuned).filter(({ bytes }, i) => !bytes.equals(others[i]!.bytes));
  t.deepEqual(
    unlike.map(({ name }) => name.replace(/\d+/, 'N')).filter((name) => !name.includes('norm')),
    [],
  );
  t.true(unlike.length > 6);
});

test.serial('warns of an evaluation text that tunes', async (t) => {
  // Of the file's beginning the first tokens alone calibrate.
  const { warnings } = await prune(work.model('llama2'), {
    ...options({ window: 64, calibrationTokens: 64, tuneTokens: 128 }),
    eval: CALIBRATION,
    evalTokens: 192,
    evalWindow: 192,
  });
  t.regex(warnings.join(), /overlap: 100/);
});

test.serial('other tuning text is another run', async (t) => {
  const model = work.model('llama2');
  const settings = options();
  const controller = new AbortController();
  await prune(model, {
    ...settings,
    signal: controller.signal,
    onProgress: ({ stage }) => {
      if (stage === 'tune') controller.abort();
    },
  }).catch(() => {});
  const other = { ...settings, tuneTokens: 39 * WINDOW, resume: true };
  await t.throwsAsync(prune(model, other), {
    code: 'ERR_ARGUMENT',
    message: /other tuning tokens/,
  });
});
