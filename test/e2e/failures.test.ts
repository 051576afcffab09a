/** Runs that cannot finish: a named error with its mend, before work starts where that can be known; no output. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { StruPruneError } from '../../lib/errors';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import type { Progress } from '../../lib/progress';
import { prune } from '../../lib/prune';
import { survey } from '../../lib/survey';
import { hashesOf } from './files';
import { CALIBRATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

interface Attempt {
  code: string;
  message: RegExp;
  /** Work may have started: the error cannot be known before. */
  late?: boolean;
  /** Some work was finished, and waits in the journal. */
  resumable?: boolean;
}

/** Runs prune() on `model`, and looks for what it left beside the output and in the scratch folder. */
async function refuses(
  t: ExecutionContext,
  model: string,
  { code, message, late = false, resumable = false }: Attempt,
  more: Partial<PruneOptions> = {},
): Promise<void> {
  const [folder, scratch] = [work.emptyFolder(), work.emptyFolder()];
  const name = more.format === 'gguf' ? 'out.gguf' : 'out';
  const progress: Progress[] = [];
  const options: PruneOptions = {
    output: join(folder, 'new', name),
    calibration: CALIBRATION,
    calibrationTokens: 960,
    tuneTokens: 0,
    window: 48,
    sparsity: 0.2,
    method: 'wanda-sp',
    threads: 1,
    scratch,
    onProgress: (event) => progress.push(event),
    ...more,
  };
  const error = (await t.throwsAsync(prune(model, options), { code, message })) as StruPruneError;
  if (code.startsWith('ERR_')) t.not(error.mend, '');
  if (!late) t.deepEqual(progress, []);
  t.deepEqual(readdirSync(folder), resumable ? ['new'] : []);
  if (resumable) t.deepEqual(readdirSync(join(folder, 'new')), [`${name}.struprune-journal`]);
  t.deepEqual(readdirSync(scratch), []);
}

function textFile(content: string | Buffer): string {
  const path = work.path('text');
  writeFileSync(path, content);
  return path;
}

/** Overwrites one value of a float32 or a half of a float16/bfloat16 tensor of a one-file checkpoint. */
function patch(folder: string, tensor: string, hex: string): void {
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, start).toString('utf8'));
  const value = Buffer.from(hex, 'hex');
  value.copy(bytes, start + header[tensor].data_offsets[0] + 10 * value.length);
  writeFileSync(path, bytes);
}

function configure(folder: string, keys: Record<string, unknown>): void {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...keys }));
}

const QUIET_NAN = { F32: '0000c07f', F16: '007e' };
const INFINITY = '0000807f';

test.serial(
  'calibration text: missing, empty, too short, not UTF-8, no tokens asked for',
  async (t) => {
    const model = work.model('llama2');
    const with_ = (calibration: string, message: RegExp, code = 'ERR_TEXT') =>
      refuses(t, model, { code, message }, { calibration });
    await with_(work.path('missing'), /cannot read the text/, 'ERR_NOT_FOUND');
    await with_(textFile(''), /is empty/);
    await with_(textFile('too short'), /has 9 tokens, one window needs 48/);
    await with_(textFile(Buffer.from('6162ff63', 'hex')), /not UTF-8: invalid byte at offset 2/);
    await refuses(
      t,
      model,
      { code: 'ERR_TEXT', message: /47 tokens were asked for/ },
      { calibrationTokens: 47 },
    );
    await refuses(
      t,
      model,
      { code: 'ERR_NOT_FOUND', message: /cannot read the text/ },
      { eval: work.path('missing') },
    );
    await with_(work.emptyFolder(), /is a folder/);
  },
);

test.serial('options that cannot be meant', async (t) => {
  const model = work.model('opt-pre');
  const argument = (message: RegExp, more: Partial<PruneOptions>) =>
    t.throwsAsync(
      prune(model, { output: work.path('out'), calibration: CALIBRATION, sparsity: 0.2, ...more }),
      { code: 'ERR_ARGUMENT', message },
    );
  await argument(/sparsity/, { sparsity: 1.5 });
  await argument(/exclude each other/, { targetParams: 1000 });
  await argument(/nothing says how much/, { sparsity: undefined });
  await argument(/blocks of 32, and widths may be any multiple of 8/, {
    output: work.path('out.gguf'),
    dtype: 'q8_0',
    multiple: 8,
    window: 48,
  });
  await argument(/longer than the model's 64 positions/, { window: 65 });
  await argument(/threads/, { threads: 0 });
  await argument(/flap has no energy/, { method: 'flap', allocation: 'energy' });
  // Nine tenths of the FFN are not so much of the whole.
  await argument(/sparsity|largest|at most/, { sparsity: 0.9, window: 48 });
});

test.serial('weights that are not finite', async (t) => {
  const cases: [model: string, tensor: string, hex: string, method: PruneOptions['method']][] = [
    ['opt-pre', 'model.decoder.layers.1.fc2.weight', QUIET_NAN.F32, 'magnitude-l2'],
    ['opt-pre', 'model.decoder.layers.0.fc1.bias', INFINITY, 'struprune'],
    ['llama2', 'model.layers.2.self_attn.q_proj.weight', QUIET_NAN.F16, 'struprune'],
    ['llama2', 'model.norm.weight', QUIET_NAN.F16, 'magnitude-l2'],
    ['llama2', 'lm_head.weight', QUIET_NAN.F16, 'magnitude-l2'],
    ['llama2', 'model.embed_tokens.weight', QUIET_NAN.F16, 'magnitude-l2'],
  ];
  for (const [name, tensor, hex, method] of cases) {
    const model = work.model(name);
    patch(model, tensor, hex);
    const message = new RegExp(`${tensor.replaceAll('.', '\\.')}.*finite`);
    await refuses(t, model, { code: 'ERR_NAN', message, late: true }, { method });
  }
});

test.serial('checkpoints with parts missing', async (t) => {
  const gone = work.model('llama3');
  unlinkSync(join(gone, 'model-00003-of-00005.safetensors'));
  await refuses(t, gone, { code: 'ERR_CHECKPOINT', message: /model-00003-of-00005.*missing/ });

  const cut = work.model('llama3');
  truncateSync(join(cut, 'model-00003-of-00005.safetensors'), 50_000);
  await refuses(t, cut, { code: 'ERR_CHECKPOINT', message: /model-00003-of-00005/ });

  const bare = work.model('llama2');
  rmSync(join(bare, 'model.safetensors'));
  await refuses(t, bare, { code: 'ERR_NOT_FOUND', message: /safetensors/ });

  const untold = work.model('llama2');
  rmSync(join(untold, 'config.json'));
  await refuses(t, untold, { code: 'ERR_NOT_FOUND', message: /config\.json/ });

  const mute = work.model('llama2');
  rmSync(join(mute, 'tokenizer.json'));
  await refuses(t, mute, { code: 'ERR_NOT_FOUND', message: /tokenizer\.json/ });

  await refuses(t, work.path('nothing'), { code: 'ERR_NOT_FOUND', message: /no such file/ });
});

test.serial('configurations that are unknown or do not fit the weights', async (t) => {
  const alien = work.model('llama2');
  configure(alien, { model_type: 'mamba', architectures: ['MambaForCausalLM'] });
  await refuses(t, alien, { code: 'ERR_UNSUPPORTED', message: /mamba/ });

  const wide = work.model('llama2');
  configure(wide, { intermediate_size: 168 });
  await refuses(t, wide, { code: 'ERR_CHECKPOINT', message: /168/ });

  const deep = work.model('llama2');
  configure(deep, { num_hidden_layers: 4 });
  await refuses(t, deep, { code: 'ERR_CHECKPOINT', message: /model\.layers\.3/ });
});

test.serial('a generation configuration that is not a JSON object', async (t) => {
  for (const content of ['{', '[]', 'null']) {
    const model = work.model('llama2');
    writeFileSync(join(model, 'generation_config.json'), content);
    const message = /generation_config\.json is not a JSON object; fetch it again/;
    await refuses(t, model, { code: 'ERR_CHECKPOINT', message });
  }
});

test.serial('outputs that nothing loads are refused before work starts', async (t) => {
  const unsupported = (model: string, message: RegExp, more: Partial<PruneOptions>) =>
    refuses(t, work.model(model), { code: 'ERR_UNSUPPORTED', message }, more);
  await unsupported('opt-pre', /opt models are not written as GGUF/, { format: 'gguf' });
  await unsupported('llama2', /no Q8_0/, { dtype: 'q8_0' });
  await unsupported('qwen3', /widths that differ/, { format: 'gguf', allocation: 'threshold' });
  await unsupported('qwen3', /biases/, { format: 'gguf', method: 'flap', allocation: 'uniform' });
});

test.serial(
  'a GGUF file cannot hold a window that slides inside the calibration window',
  async (t) => {
    const refusal = { code: 'ERR_ARGUMENT', message: /sliding window of 16.*window 16 or less/ };
    await refuses(t, work.model('mistral'), refusal, { format: 'gguf', dtype: 'f16' });
  },
);

test.serial('outputs that cannot be written', async (t) => {
  const model = work.model('llama2');
  const file = textFile('');
  const attempt = (output: string, message: RegExp, more: Partial<PruneOptions> = {}) =>
    refuses(t, model, { code: 'ERR_OUTPUT', message }, { output, ...more });
  // As a container's volume is one.
  if (process.platform === 'linux') {
    await attempt('/proc', /is a mount point, .*; give a folder inside it/, { force: true });
  }
  for (const suffix of ['', '.gguf']) {
    await attempt(join(file, `out${suffix}`), /part of the path is a file/);
    await attempt(join(file, `deep/out${suffix}`), /part of the path is a file/);
    await attempt(join(work.emptyFolder(), `${'x'.repeat(300)}${suffix}`), /name is too long/);
    // Not even root may write there.
    if (process.platform === 'linux') await attempt(`/proc/struprune${suffix}`, /cannot write/);
  }
});

test.serial('an output whose replacement would remove the model', async (t) => {
  const folder = work.emptyFolder();
  const model = join(folder, 'model');
  cpSync(work.model('llama2'), model, { recursive: true });
  symlinkSync(model, join(folder, 'link'));
  const gguf = join(folder, 'model.gguf');
  await exportModel(model, { output: gguf });
  const before = [hashesOf(model), hashesOf(gguf)];
  const attempts = [
    [model, model, /is the model itself/],
    [model, join(folder, 'link'), /is the model itself/],
    [join(folder, 'link'), model, /is the model itself/],
    [model, folder, /contains the model itself/],
    [gguf, gguf, /is the model itself/],
  ] as const;
  for (const [from, output, message] of attempts) {
    await refuses(t, from, { code: 'ERR_OUTPUT', message }, { output, force: true });
    const exported = exportModel(from, { output, force: true });
    await t.throwsAsync(exported, { code: 'ERR_OUTPUT', message });
  }
  t.deepEqual([hashesOf(model), hashesOf(gguf)], before);
});

test.serial('an output, a survey or a journal never takes the place of what is read', async (t) => {
  const folder = work.emptyFolder();
  const hub = join(folder, 'hub');
  const model = join(hub, 'snapshots', 'model');
  const blobs = join(hub, 'blobs');
  cpSync(work.model('llama2'), blobs, { recursive: true });
  mkdirSync(model, { recursive: true });
  for (const name of readdirSync(blobs)) symlinkSync(join(blobs, name), join(model, name));
  const output = join(folder, 'out');
  const journal = `${output}.struprune-journal`;
  for (const path of [output, journal]) {
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), '{}');
    cpSync(CALIBRATION, join(path, 'text'));
  }
  symlinkSync(join(output, 'text'), join(folder, 'link'));
  const notes = textFile('mine');
  const folders = [blobs, output, journal];
  const before = folders.map(hashesOf);
  const rows: [message: RegExp, more: Partial<PruneOptions>][] = [
    [/the output .*blobs contains \w+\.\w+ of the model; give another path/, { output: blobs }],
    [/the output .*out contains calibration .*text;/, { output, calibration: `${output}/text` }],
    [/the output .*out contains calibration .*link;/, { output, calibration: `${folder}/link` }],
    [/the output .*out contains eval .*text;/, { output, eval: `${output}/text` }],
    [/contains fromCalibration .*text;/, { output, fromCalibration: `${output}/text` }],
    [/the journal .* contains calibration/, { output, calibration: `${journal}/text` }],
    [/saveCalibration .* is calibration/, { calibration: notes, saveCalibration: notes }],
    [/is model\.safetensors of the model/, { saveCalibration: `${model}/model.safetensors` }],
    [/is tokenizer\.json of the model/, { saveCalibration: `${blobs}/tokenizer.json` }],
  ];
  for (const [message, more] of rows) {
    for (const how of [{ force: true }, { resume: true }]) {
      const options = { method: 'struprune', ...how, ...more } as const;
      await refuses(t, model, { code: 'ERR_OUTPUT', message }, options);
    }
  }
  const exported = exportModel(model, { output: blobs, force: true });
  await t.throwsAsync(exported, { code: 'ERR_OUTPUT', message: /contains .* of the model/ });
  const curves = { calibration: notes, saveCalibration: notes, force: true };
  await t.throwsAsync(survey(model, curves), { code: 'ERR_OUTPUT', message: /is calibration/ });
  t.deepEqual(folders.map(hashesOf), before);
  // A run that goes on replaces a survey, and no other file.
  const resume = { method: 'struprune', saveCalibration: notes, resume: true } as const;
  await refuses(t, model, { code: 'ERR_OUTPUT', message: /exists already/ }, resume);
  t.is(readFileSync(notes, 'utf8'), 'mine');
});

test.serial('a method without refits adds none', async (t) => {
  const refusal = { code: 'ERR_ARGUMENT', message: /method osscar adds no biases/ };
  await refuses(t, work.model('llama2'), refusal, { method: 'osscar', bias: 'add' });
});

test.serial('a name that speaks for the other format', async (t) => {
  const model = work.model('llama2');
  const folder = work.emptyFolder();
  const attempt = (output: string, format: 'hf' | 'gguf', message: RegExp) =>
    refuses(t, model, { code: 'ERR_ARGUMENT', message }, { output: join(folder, output), format });
  await attempt(
    'out.gguf',
    'hf',
    /name of a GGUF file, and a Hugging Face folder is to be written; choose format gguf, or/,
  );
  await attempt('out', 'gguf', /name of a GGUF file ends in \.gguf/);
});

test.serial('targets that the model meets already, or can never meet', async (t) => {
  const attempt = (message: RegExp, more: Partial<PruneOptions>) =>
    refuses(
      t,
      work.model('llama2'),
      { code: 'ERR_ARGUMENT', message },
      { sparsity: undefined, ...more },
    );
  await attempt(
    /1,000,000,000 parameters, and with nothing removed the output would have [\d,]+ parameters; .*give a smaller target; `npx struprune-native export` writes/,
    {
      targetParams: 1e9,
    },
  );
  await attempt(
    /1,000,000,000 bytes, and with nothing removed the output would have [\d,]+ bytes in f16;/,
    {
      targetSize: 1e9,
    },
  );
  await attempt(/target is 100 parameters, but .* keep [\d,]+ parameters;/, { targetParams: 100 });
  await attempt(/target is 100 multiply-adds, but .* keep [\d,]+ multiply-adds;/, {
    targetMacs: 100,
  });
  await attempt(/target is 100 bytes, but .* keep [\d,]+ bytes in f16;/, { targetSize: 100 });
  const { output } = await exportModel(work.model('llama2'), {
    output: work.path('few.gguf'),
    dtype: 'q4_0',
  });
  const message = / in f16; ask for \d+ or more, .*, or write a \.gguf file, whose dtype can/;
  const sized = { sparsity: undefined, targetSize: 100 };
  await refuses(t, output, { code: 'ERR_ARGUMENT', message }, sized);
  await attempt(/let 0 go/, { sparsity: 0.1, maxLayerSparsity: 0 });
});

test.serial('a scratch folder that is not there', async (t) => {
  const model = work.model('llama2');
  await t.throwsAsync(
    prune(model, {
      output: work.path('out'),
      calibration: CALIBRATION,
      sparsity: 0.1,
      window: 48,
      scratch: work.path('nowhere'),
    }),
    { code: 'ERR_SCRATCH', message: /no folder .*nowhere/ },
  );
});

for (const stage of ['start', 'survey', 'solve', 'evaluate'] as const) {
  for (const format of ['hf', 'gguf'] as const) {
    test.serial(
      `abort during ${stage}, ${format}: the signal's reason, nothing half done is left`,
      async (t) => {
        const controller = new AbortController();
        const reason = Object.assign(new Error('enough'), { code: 'MINE' });
        let solved = false;
        const onProgress = (progress: Progress) => {
          solved ||= progress.stage === 'solve';
          // The dense model is evaluated first; the second evaluation is that of the written file.
          if (progress.stage === stage && (stage !== 'evaluate' || solved))
            controller.abort(reason);
        };
        if (stage === 'start') controller.abort(reason);
        await refuses(
          t,
          work.model('llama2'),
          {
            code: 'MINE',
            message: /enough/,
            late: true,
            resumable: stage === 'solve' || stage === 'evaluate',
          },
          {
            method: 'struprune',
            eval: CALIBRATION,
            evalTokens: 480,
            signal: controller.signal,
            format,
            onProgress,
          },
        );
      },
    );
  }
}

test.serial('a failed run leaves the output that it was to replace', async (t) => {
  const model = work.model('opt-pre');
  patch(model, 'model.decoder.layers.1.fc2.weight', QUIET_NAN.F32);
  const folder = work.emptyFolder();
  const output = join(folder, 'out');
  const { output: whole } = await exportModel(work.model('opt-pre'), { output });
  const before = hashesOf(whole);
  await t.throwsAsync(
    prune(model, {
      output,
      calibration: CALIBRATION,
      sparsity: 0.2,
      window: 48,
      calibrationTokens: 480,
      tuneTokens: 0,
      force: true,
    }),
    { code: 'ERR_NAN' },
  );
  t.deepEqual(readdirSync(folder), ['out']);
  t.deepEqual(hashesOf(output), before);
});
