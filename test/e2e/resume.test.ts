/** Going on with a journal: the same bytes, and only where it belongs. test/cli/resume.test.ts kills real processes. STRUPRUNE_LONG=1: more rows. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import test from 'ava';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { sealed, unsealed } from '../../lib/pruning/journal/sealed';
import { long } from '../long';
import { hashesOf } from './files';
import { CALIBRATION_IDS, EVALUATION, workspace } from './models';
import { stopAfter } from './stop-after';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;

function options(more: Partial<PruneOptions> = {}): PruneOptions {
  return {
    output: join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out'),
    calibration: CALIBRATION_IDS,
    calibrationTokens: 32 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 16 * WINDOW,
    window: WINDOW,
    sparsity: 0.2,
    threads: 1,
    ...more,
  };
}

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama2', { scope: 'all', alpha: 0.5, beta: 0.5, ffnSolver: 'output' }],
  ['llama2', { format: 'gguf', dtype: 'q8_0', allocation: 'uniform' }],
  ['llama3', { selection: 'fisher', swaps: 2, dtype: 'bf16' }],
  ['llama-bias', { ffnSolver: 'gauss-newton', alpha: 0.5, beta: 0.5 }],
  ['opt-pre', { bias: 'add', mask: 'admm', allocation: 'uniform' }],
  ['llama2', { method: 'gisp' }],
  ['qwen3-moe', { scope: 'experts', sparsity: 0.2, dtype: 'f32' }],
  ['qwen3-moe', { scope: 'expert-channels', sparsity: 0.2 }],
  // Both kinds have to go.
  ['qwen3-moe', { scope: 'moe', allocation: 'threshold', maxLayerSparsity: 0.4, sparsity: 0.15 }],
  ['gpt-oss-mxfp4', { scope: 'moe', maxLayerSparsity: 0.5, sparsity: 0.5 }],
  ['lfm2', { scope: 'all' }],
  ['gpt-neox', { scope: 'all', alpha: 0.5, beta: 0.5 }],
  ['qwen3.5', { scope: 'all' }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['llama3', { threads: 2, scope: 'all' }],
    ['opt-pre', { ffnSolver: 'gauss-newton', sequential: false, allocation: 'uniform' }],
    ['llama3-tied', { method: 'flap' }],
    ['qwen2-moe', { scope: 'all', sparsity: 0.05 }],
    ['qwen3-moe', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.28, dtype: 'f32' }],
    ['granite-moe', { scope: 'expert-channels', method: 'wanda-sp', sparsity: 0.2 }],
    ['gpt-oss-mxfp4', { scope: 'attention', allocation: 'uniform', sparsity: 0.05 }],
    ['qwen3-next', { scope: 'experts', sparsity: 0.1 }],
    ['qwen2', { sequential: false, ffnSolver: 'output', scope: 'all', sparsity: 0.1 }],
    ['qwen3-moe', { method: 'reap', sparsity: 0.2, dtype: 'f32' }],
    ['gpt-oss', { scope: 'experts', sparsity: 0.2 }],
    ['qwen3-moe', { scope: 'expert-channels', sparsity: 0.2, sequential: false, dtype: 'f32' }],
    ['lfm2-moe', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.24, sequential: false }],
    ['mixtral', { scope: 'expert-channels', method: 'magnitude-l2', sparsity: 0.2 }],
    ['gpt-neox', { scope: 'all', sequential: false, ffnSolver: 'output' }],
    ['lfm2-moe', { scope: 'expert-channels', sparsity: 0.1 }],
    ['mistral', { method: 'wanda-sp', maxLayerSparsity: 0.5 }],
  ]),
];
for (const [name, more] of ROWS) {
  test.serial(
    `a stopped run ends with the same bytes: ${name}, ${JSON.stringify(more)}`,
    async (t) => {
      const model = work.model(name);
      const whole = await prune(model, options(more));
      t.deepEqual(whole.resumedBlocks, []);
      const settings = options(more);
      const journal = await stopAfter(2, model, settings);
      t.true(existsSync(join(journal, 'block-1.bin')) && !existsSync(join(journal, 'block-2.bin')));
      const resumed = await prune(model, { ...settings, resume: true });
      t.deepEqual(resumed.resumedBlocks, [0, 1]);
      t.deepEqual(resumed.layers, whole.layers);
      t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
      t.deepEqual(readdirSync(dirname(settings.output)), [basename(settings.output)]);
    },
  );
}

test.serial('--resume without a journal starts from the beginning', async (t) => {
  const { resumedBlocks } = await prune(work.model('llama2'), options({ resume: true }));
  t.deepEqual(resumedBlocks, []);
});

test.serial(
  'a journal is refused to other settings, and to a checkpoint that has changed',
  async (t) => {
    const model = work.model('llama2');
    const settings = options({ resume: true });
    const journal = await stopAfter(1, model, settings);
    const kept = hashesOf(journal);
    const refuses = async (more: Partial<PruneOptions>, message: RegExp) => {
      const error = await t.throwsAsync(prune(model, { ...settings, ...more }), { message });
      t.like(error, { code: 'ERR_ARGUMENT' });
      t.deepEqual(hashesOf(journal), kept);
    };
    await refuses(
      { sparsity: 0.3 },
      /another run: sparsity 0.2, now 0.3; .*same settings.*force: true/,
    );
    await refuses({ ffnSolver: 'output' }, /ffnSolver gauss-newton, now output/);
    await refuses({ threads: 2, lambda: 0.1 }, /threads 1, now 2; lambda none, now 0.1/);
    await refuses({ calibration: EVALUATION }, /other calibration tokens/);
    const file = join(model, 'model.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 2]! ^= 1;
    writeFileSync(file, bytes);
    await refuses({}, /other checkpoint/);
  },
);

test.serial('what changes no byte may change: memory, scratch, evaluation', async (t) => {
  const model = work.model('llama2');
  const whole = await prune(model, options());
  const settings = options();
  await stopAfter(1, model, settings);
  const more = { resume: true, memory: 2 ** 30, scratch: work.emptyFolder() };
  t.deepEqual((await prune(model, { ...settings, ...more })).resumedBlocks, [0]);
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

test.serial('a default may be spelled out', async (t) => {
  const output = work.path('few.gguf');
  const { output: model } = await exportModel(work.model('llama2'), { output, dtype: 'q4_0' });
  const ofBoth = { dtype: 'q4_0', multiple: 32 } as const;
  const whole = await prune(model, options({ format: 'gguf' }));
  t.is(whole.dtype, 'q4_0');
  for (const [first, then] of [
    [{}, ofBoth],
    [ofBoth, {}],
  ]) {
    const settings = options({ format: 'gguf' });
    await stopAfter(1, model, { ...settings, ...first });
    const odd = { ...settings, resume: true, multiple: 8 };
    await t.throwsAsync(prune(model, odd), { message: /dtype q4_0, now f16; multiple 32, now 8/ });
    const { resumedBlocks } = await prune(model, { ...settings, ...then, resume: true });
    t.deepEqual(resumedBlocks, [0]);
    t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
  }
});

test.serial(
  'a left journal is refused without a word what to do, --force starts again',
  async (t) => {
    const model = work.model('llama2');
    const settings = options();
    const journal = await stopAfter(1, model, settings);
    await t.throwsAsync(prune(model, settings), {
      code: 'ERR_OUTPUT',
      message:
        /out\.struprune-journal; go on with it by resume: true, or start again by force: true/,
    });
    t.true(existsSync(join(journal, 'block-0.bin')));
    const { resumedBlocks } = await prune(model, { ...settings, force: true, sparsity: 0.3 });
    t.deepEqual(resumedBlocks, []);
    t.false(existsSync(journal));
  },
);

test.serial('a damaged block is solved again, with a warning', async (t) => {
  const model = work.model('llama2');
  const whole = await prune(model, options());
  const settings = options({ resume: true });
  const journal = await stopAfter(2, model, settings);
  const path = join(journal, 'block-1.bin');
  const bytes = readFileSync(path);
  bytes[1000]! ^= 255;
  writeFileSync(path, bytes);
  const { resumedBlocks, warnings } = await prune(model, settings);
  t.deepEqual(resumedBlocks, [0]);
  t.regex(warnings.join(), /block 1 in the journal is damaged/);
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

test.serial('a damaged survey is made again, with a warning', async (t) => {
  const model = work.model('llama2');
  const whole = await prune(model, options());
  const settings = options({ resume: true });
  const path = join(await stopAfter(2, model, settings), 'survey.safetensors');
  const flipped = readFileSync(path);
  flipped[flipped.length - 100]! ^= 1;
  for (const bytes of [flipped, flipped.subarray(0, 1000), flipped.subarray(0, 0)]) {
    await stopAfter(2, model, settings);
    writeFileSync(path, bytes);
    const { resumedBlocks, survey, warnings } = await prune(model, settings);
    t.deepEqual([resumedBlocks, survey], [[0, 1], 'made']);
    t.regex(warnings.join(), /the survey in the journal is damaged: it is made again/);
    t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
    rmSync(settings.output, { recursive: true });
  }
});

const CHANGES: [what: string, change: (record: Record<string, unknown>) => void][] = [
  ['nothing kept', (record) => Object.assign(record, { keep: {} })],
  ['no masks', (record) => delete record.keep],
  ['masks of another type', (record) => Object.assign(record, { keep: { ffn: 'all' } })],
  ['no statistics', (record) => delete record.stats],
  ['a tensor less', ({ roles }) => (roles as string[]).splice(3, 1)],
  ['the same tensor twice', ({ roles }) => (roles as string[]).fill('attention.q')],
];

test.serial('a record that has changed is noticed before anything is made of it', async (t) => {
  const model = work.model('llama2');
  const whole = await prune(model, options());
  const settings = options({ resume: true });
  for (const [what, change] of CHANGES) {
    const path = join(await stopAfter(2, model, settings), 'block-1.json');
    const { sha256, value } = JSON.parse(readFileSync(path, 'utf8'));
    change(value);
    writeFileSync(path, JSON.stringify({ sha256, value }));
    const { resumedBlocks, warnings } = await prune(model, settings);
    t.deepEqual(resumedBlocks, [0], what);
    t.regex(warnings.join(), /block 1 in the journal is damaged/);
    t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
    rmSync(settings.output, { recursive: true });
  }
});

test.serial(
  "a block's file with other tensors than its record says is refused by name",
  async (t) => {
    const model = work.model('llama2');
    const settings = options({ resume: true });
    const path = join(await stopAfter(2, model, settings), 'block-1.json');
    const record = unsealed<{ roles: string[] }>(readFileSync(path, 'utf8'))!;
    // As a faulty version of this program might write it.
    writeFileSync(
      path,
      sealed({ ...record, roles: record.roles.filter((role) => role !== 'ffn.up') }),
    );
    const refused = { code: 'ERR_CHECKPOINT', message: /ffn\.up is missing/ };
    await t.throwsAsync(prune(model, settings), refused);
  },
);

test.serial('a record with a number for a list is damaged, whatever its hash', async (t) => {
  const model = work.model('llama2');
  const settings = options({ resume: true });
  const path = join(await stopAfter(2, model, settings), 'block-0.json');
  const record = unsealed<{ stats: object[] }>(readFileSync(path, 'utf8'))!;
  const stats = record.stats.map((layer) => ({ ...layer, expertTokens: 7 }));
  writeFileSync(path, sealed({ ...record, stats }));
  const { resumedBlocks, warnings } = await prune(model, settings);
  t.deepEqual(resumedBlocks, []);
  t.regex(warnings.join(), /block 0 in the journal is damaged/);
});

test.serial('files of a journal that are no JSON, or none of a journal', async (t) => {
  const model = work.model('llama2');
  const settings = options({ resume: true });
  const journal = await stopAfter(2, model, settings);
  for (const text of ['', 'null', '{}']) {
    writeFileSync(join(journal, 'block-1.json'), text);
    const { resumedBlocks, warnings } = await prune(model, settings);
    t.deepEqual(resumedBlocks, [0]);
    t.regex(warnings.join(), /block 1 in the journal is damaged/);
    rmSync(settings.output, { recursive: true });
    await stopAfter(2, model, settings);
  }
  for (const text of ['{', '[]', '{}', '{"identity":null}', 'null', '{"value":{}}']) {
    writeFileSync(join(journal, 'journal.json'), text);
    const error = await t.throwsAsync(prune(model, settings), { code: 'ERR_OUTPUT' });
    t.regex(error.message, /journal\.json cannot be read; give .* to start again$/);
  }
  t.true(existsSync(join(journal, 'block-0.bin')));
  // What says that the output is there, and cannot be read: the advice holds.
  writeFileSync(join(journal, 'result.json'), '{');
  const error = await t.throwsAsync(prune(model, settings), { code: 'ERR_OUTPUT' });
  t.regex(error.message, /result\.json cannot be read; give .* to start again$/);
  await prune(model, { ...settings, resume: false, force: true });
});

test.serial("a folder or a link of the journal's name that is none stays as it is", async (t) => {
  const model = work.model('llama2');
  const settings = options({ output: join(work.emptyFolder(), 'out') });
  const journal = `${settings.output}.struprune-journal`;
  const mine = join(journal, 'mine');
  mkdirSync(journal);
  writeFileSync(mine, 'mine');
  const refused = {
    code: 'ERR_OUTPUT',
    message: /where this output's journal goes, .*move it away/,
  };
  await t.throwsAsync(prune(model, { ...settings, force: true }), refused);
  t.is(readFileSync(mine, 'utf8'), 'mine');
  rmSync(journal, { recursive: true });
  const folder = work.emptyFolder();
  symlinkSync(folder, journal);
  await t.throwsAsync(prune(model, { ...settings, force: true }), refused);
  t.deepEqual(readdirSync(folder), []);
});

test.serial('a run killed between its output and the end of its journal is done', async (t) => {
  const model = work.model('llama2');
  const settings = options({ resume: true });
  const journal = await stopAfter(3, model, settings);
  const record = readFileSync(join(journal, 'journal.json'), 'utf8');
  const done = await prune(model, settings);
  // As if the journal had not gone yet.
  mkdirSync(journal);
  writeFileSync(join(journal, 'journal.json'), record);
  const { identity } = unsealed<{ identity: object }>(record)!;
  const inode = String(statSync(settings.output, { bigint: true }).ino);
  writeFileSync(join(journal, 'result.json'), sealed({ identity, result: done, inode }));
  const before = hashesOf(settings.output);
  await t.throwsAsync(prune(model, { ...settings, sparsity: 0.3 }), {
    code: 'ERR_ARGUMENT',
    message: /sparsity 0.2, now 0.3/,
  });
  rmSync(join(journal, 'journal.json'));
  await t.throwsAsync(prune(model, { ...settings, sparsity: 0.3 }), { code: 'ERR_ARGUMENT' });
  const again = await prune(model, settings);
  t.deepEqual(again.layers, done.layers);
  t.deepEqual(hashesOf(settings.output), before);
  t.false(existsSync(journal));
});

for (const format of ['hf', 'gguf'] as const) {
  test.serial(
    `an older output is not taken for the one that was to replace it: ${format}`,
    async (t) => {
      const model = work.model('llama2');
      const settings = options({ format });
      await prune(model, { ...settings, sparsity: 0.1 });
      const more = { force: true, resume: true };
      const journal = await stopAfter(3, model, { ...settings, ...more });
      const record = readFileSync(join(journal, 'journal.json'), 'utf8');
      const { identity } = unsealed<{ identity: object }>(record)!;
      // As a second Ctrl-C leaves it while the new output is brought to the disk: it goes, its result stays.
      const removed = join(journal, 'output');
      writeFileSync(removed, '');
      const inode = String(statSync(removed, { bigint: true }).ino);
      const result = { layers: [], output: settings.output };
      writeFileSync(join(journal, 'result.json'), sealed({ identity, result, inode }));
      rmSync(removed);
      const whole = await prune(model, options({ format }));
      const { resumedBlocks, layers } = await prune(model, { ...settings, ...more });
      t.deepEqual([resumedBlocks, layers], [[0, 1, 2], whole.layers]);
      t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
      t.false(existsSync(journal));
    },
  );
}

for (const [stage, done] of [
  ['survey', 1],
  ['solve', 1],
  ['solve', 3],
  ['tune', 1],
  ['write', 1],
] as const) {
  test.serial(`a journal that is removed in mid-run: after ${done} of ${stage}`, async (t) => {
    const settings = options({ tuneTokens: 4 * WINDOW });
    const journal = `${settings.output}.struprune-journal`;
    let removed = false;
    const onProgress: PruneOptions['onProgress'] = (at) => {
      if (removed || at.stage !== stage || at.done !== done) return;
      removed = true;
      rmSync(journal, { recursive: true });
    };
    const run = prune(work.model('llama2'), { ...settings, onProgress });
    await t.throwsAsync(run, {
      code: 'ERR_OUTPUT',
      message: /the journal .* was removed while the run was at work; start the run again/,
    });
    t.deepEqual(readdirSync(dirname(settings.output)), []);
  });
}

test.serial('work that nothing says whose it is counts for nothing', async (t) => {
  const model = work.model('llama2');
  const settings = options({ resume: true });
  const journal = await stopAfter(2, model, settings);
  rmSync(join(journal, 'journal.json'));
  const whole = await prune(model, options({ lambda: 0.9 }));
  const { resumedBlocks } = await prune(model, { ...settings, lambda: 0.9 });
  t.deepEqual(resumedBlocks, []);
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
});

test.serial('a mistake at the second start loses nothing of the first', async (t) => {
  const model = work.model('llama2');
  const settings = options({ resume: true });
  const journal = await stopAfter(2, model, settings);
  const kept = hashesOf(journal);
  await t.throwsAsync(prune(model, { ...settings, fromCalibration: work.path('typo') }), {
    code: 'ERR_NOT_FOUND',
  });
  t.deepEqual(hashesOf(journal), kept);
  t.deepEqual((await prune(model, settings)).resumedBlocks, [0, 1]);
});

test.serial('two runs on one output: the second is refused and harms nothing', async (t) => {
  const model = work.model('llama2');
  const settings = options();
  const whole = await prune(model, options());
  const second: unknown[] = [];
  let tried: Promise<unknown> | undefined;
  await prune(model, {
    ...settings,
    onProgress: () => {
      tried ??= Promise.all(
        [{}, { force: true }, { resume: true }].map((more) =>
          prune(model, { ...settings, ...more }).catch((error) => second.push(error)),
        ),
      );
    },
  });
  await tried;
  t.is(second.length, 3);
  for (const error of second) {
    t.like(error, { code: 'ERR_OUTPUT' });
    t.regex(
      (error as Error).message,
      new RegExp(`process ${process.pid} .*is writing this output`),
    );
  }
  t.deepEqual(hashesOf(settings.output), hashesOf(whole.output));
  // A lock whose process is gone, or is another by now, holds nobody up.
  const journal = await stopAfter(1, model, { ...settings, force: true });
  for (const holder of [
    { pid: 2 ** 22 + 1, start: '1' },
    { pid: process.pid, start: '1' },
  ]) {
    writeFileSync(join(journal, 'lock.json'), JSON.stringify({ ...holder, host: hostname() }));
    const attempt = prune(model, { ...settings, force: true, resume: true, lambda: 0.2 });
    await t.throwsAsync(attempt, { code: 'ERR_ARGUMENT', message: /another run: lambda/ });
  }
});

test.serial('an output that had stepped aside comes back before anything else', async (t) => {
  const model = work.model('llama2');
  const settings = options();
  await prune(model, settings);
  const old = hashesOf(settings.output);
  const journal = `${settings.output}.struprune-journal`;
  mkdirSync(journal);
  renameSync(settings.output, join(journal, 'replaced'));
  await t.throwsAsync(prune(model, settings), { code: 'ERR_OUTPUT', message: /exists already/ });
  t.deepEqual(hashesOf(settings.output), old);
});

test.serial('an output that cannot come back is kept, and said', async (t) => {
  const model = work.model('llama2');
  const settings = options();
  await prune(model, settings);
  const replaced = join(`${settings.output}.struprune-journal`, 'replaced');
  mkdirSync(join(replaced, '..'));
  renameSync(settings.output, replaced);
  const old = hashesOf(replaced);
  const other = await prune(model, options());
  renameSync(other.output, settings.output);
  for (const more of [{ force: true }, { force: true, resume: true }]) {
    await t.throwsAsync(prune(model, { ...settings, ...more }), {
      code: 'ERR_OUTPUT',
      message: /replaced is what was at .*out.* before something else took its place/,
    });
    t.deepEqual(hashesOf(replaced), old);
  }
});

test.serial('one calibration, many ratios: the bytes of a run with its own survey', async (t) => {
  const model = work.model('llama2');
  const file = work.path('calibration.safetensors');
  for (const more of [
    { selection: 'fisher' },
    { method: 'flap', allocation: 'threshold' },
  ] as const) {
    rmSync(file, { force: true });
    const saved = await prune(model, options({ ...more, saveCalibration: file }));
    t.is(saved.survey, 'made');
    for (const sparsity of [0.1, 0.3]) {
      const own = await prune(model, options({ ...more, sparsity }));
      const stages: string[] = [];
      const given = await prune(
        model,
        options({
          ...more,
          sparsity,
          fromCalibration: file,
          onProgress: ({ stage }) => stages.push(stage),
        }),
      );
      t.is(given.survey, 'file');
      t.is(given.solveInputs, more.method === 'flap' ? 'none' : 'sequential');
      t.false(stages.includes('survey'));
      t.deepEqual(hashesOf(given.output), hashesOf(own.output));
    }
  }
});

test.serial('a calibration is refused where it does not belong', async (t) => {
  const model = work.model('llama2');
  const file = work.path('calibration.safetensors');
  await prune(model, options({ saveCalibration: file }));
  const refuses = (code: string, message: RegExp, more: Partial<PruneOptions>, of = model) =>
    t.throwsAsync(prune(of, options({ fromCalibration: file, ...more })), { code, message });
  await refuses('ERR_ARGUMENT', /lambda none, now 0.1/, { lambda: 0.1 });
  await refuses('ERR_ARGUMENT', /other checkpoint/, {}, work.model('llama-bias'));
  await refuses('ERR_ARGUMENT', /makes no survey/, { allocation: 'uniform' });
  await refuses('ERR_NOT_FOUND', /nothing/, { fromCalibration: work.path('nothing') });
  await refuses('ERR_ARGUMENT', /exclude each other/, { saveCalibration: work.path('other') });
  // Before any work.
  const refusesToSave = (code: string, message: RegExp, path: string, output: string) =>
    t.throwsAsync(
      prune(
        model,
        options({ output, saveCalibration: path, onProgress: () => t.fail('work began') }),
      ),
      {
        code,
        message,
      },
    );
  const output = work.path('out');
  await refusesToSave('ERR_OUTPUT', /exists already/, file, output);
  await refusesToSave('ERR_OUTPUT', /a part of the path is a file/, join(file, 'here'), output);
  await refusesToSave('ERR_ARGUMENT', /lies in the output/, join(output, 'curves'), output);
  const inJournal = join(`${output}.struprune-journal`, 'curves');
  await refusesToSave('ERR_ARGUMENT', /lies in the journal/, inJournal, output);
  t.false(existsSync(output));
  // The run that goes on may have kept it itself.
  await prune(model, options({ saveCalibration: file, resume: true }));
  const bytes = readFileSync(file);
  bytes[bytes.length - 100]! ^= 1;
  writeFileSync(file, bytes);
  await refuses('ERR_CHECKPOINT', /damaged: its hash/, {});
});
