/** Calls that TypeScript would have refused: a StruPruneError that says what to give, never a fault of the engine room. */
import test from 'ava';
import * as library from '../../lib';
import { METHOD_NAMES, METHODS } from '../../lib/methods';
import { optionOf, settingsOf } from '../../lib/options';
import { idleOptions } from '../../lib/options/idle';
import { MODEL, SMALL, SMALL_SURVEY, workFolder } from './models';

const work = workFolder();
test.after.always(() => work.remove());

const { Engine, StruPruneError, survey } = library;
/** As JavaScript sees it. */
const api = library as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;

const TO_PRUNE = { ...SMALL, output: 'never', sparsity: 0.2 };
const FORGOTTEN: [call: string, given: unknown[]][] = [
  ...['prune', 'plan', 'survey', 'evaluate', 'exportModel', 'allocate', 'pruneReport'].flatMap(
    (call): [string, unknown[]][] => [
      [call, []],
      [call, [MODEL]],
      [call, [MODEL, null]],
      [call, [MODEL, 5]],
      [call, [MODEL, []]],
    ],
  ),
  ...['benchQuality', 'benchMasks', 'benchKernels', 'benchMemory', 'benchPeers'].map(
    (call): [string, unknown[]] => [call, [MODEL]],
  ),
  ['benchSpeed', ['a.gguf', 'b.gguf']],
  ['benchReport', []],
  ['benchReport', [[]]],
  ['benchReport', [{ quality: {} }]],
  ['openModel', []],
  ['prune', [undefined, TO_PRUNE]],
  ['prune', [{}, TO_PRUNE]],
  ['plan', [5, {}]],
  ['pruneReport', [{ layers: [], layerStats: [], seconds: 1 }]],
  ['pruneReport', [MODEL, TO_PRUNE, { seconds: 1 }]],
  ['pruneReport', [MODEL, TO_PRUNE, { layers: [], layerStats: [], seconds: 1 }, { data: '' }]],
  ['allocate', [{}, { sparsity: 0.2 }]],
];
for (const [call, given] of FORGOTTEN) {
  test(`${call}(${given.map((value) => JSON.stringify(value)).join(', ')})`, async (t) => {
    const error = await t.throwsAsync(api[call]!(...given), { instanceOf: StruPruneError });
    t.is((error as library.StruPruneError).code, 'ERR_ARGUMENT', error.message);
    t.not((error as library.StruPruneError).mend, '');
  });
}

test('allocate() refuses a survey that went through JSON, and takes a clone', async (t) => {
  const curves = await survey(MODEL, { ...SMALL_SURVEY, threads: 1 });
  const spoiled = JSON.parse(JSON.stringify(curves));
  await t.throwsAsync(library.allocate(spoiled, { sparsity: 0.2 }), {
    code: 'ERR_ARGUMENT',
    message: /not what survey\(\) returned; .*JSON does not keep its typed arrays/,
  });
  t.truthy(await library.allocate(structuredClone(curves), { sparsity: 0.2 }));
});

const OPTIONS: [option: object, message: RegExp][] = [
  [{ sparcity: 0.2 }, /^unknown option "sparcity"; did you mean sparsity\?$/],
  [{ onProgres: () => {} }, /^unknown option "onProgres"; did you mean onProgress\?$/],
  [{ ...(['text'] as object) }, /^the options are a text or a list; give them as an object$/],
  [{ zzz: 1 }, /^unknown option "zzz"; the options are sparsity, targetParams, .*signal/],
  [{ memory: '512MiB' }, /^option memory is '512MiB'; give bytes, as a number of at least 0$/],
  [
    { targetSize: '1GB' },
    /^option targetSize is '1GB'; give bytes, as a number of at least 1 or a share between '0%' and '100%'$/,
  ],
  [{ targetSize: 0 }, /^option targetSize is 0; give bytes, as a number of at least 1 or a share/],
  [{ targetParams: '120%' }, /^option targetParams is '120%'; give .* or a share between '0%'/],
  [{ samples: 'yes' }, /^option samples is 'yes'; give true or false$/],
  [{ scratch: '' }, /^option scratch is ''; give a path$/],
  [{ threads: 0 }, /^option threads is 0; give a whole number from 1 to 1024$/],
  [{ sparsity: 1 }, /^option sparsity is 1; give a number from 0 to below 1$/],
  [{ sparsity: '0.2' }, /^option sparsity is '0.2'; give a number from 0 to below 1$/],
  [{ window: 1.5 }, /^option window is 1.5; give a whole number of at least 1$/],
  [{ temperature: 0 }, /^option temperature is 0; give a number above 0$/],
  [{ output: '' }, /^option output is ''; give a path$/],
  [{ output: undefined }, /^option output is missing; give a path$/],
  [{ calibration: 3 }, /^option calibration is 3; give a path, a list of texts, or token ids$/],
  [{ refit: 'no' }, /^option refit is 'no'; give true or false$/],
  [{ format: 'onnx' }, /^option format is 'onnx'; give 'hf' or 'gguf'$/],
  [{ method: 'nope' }, /^option method is 'nope'; give 'struprune', 'magnitude-l2', .* or 'reap'$/],
  [{ method: 'magnitude' }, /^option method is 'magnitude'; give .*'magnitude-l2', 'wanda-sp'/],
  [{ mask: 'wanda' }, /^option mask is 'wanda'; give .*'magnitude-l1', .*'wanda-l1', 'wanda-l2'/],
  [
    { allocation: () => [] },
    /^option allocation is \[Function.*; give 'uniform', .* or \{ name, allocate \}$/,
  ],
  [{ mask: { find: () => [] } }, /^option mask is \{.*; give 'sweep', .* or \{ name, search \}$/],
  [{ onProgress: 5 }, /^option onProgress is 5; give a function$/],
  [{ onWarning: 'log' }, /^option onWarning is 'log'; give a function$/],
  [{ signal: new AbortController() }, /^option signal is .*; give an AbortSignal$/],
  [{ engine: {} }, /^option engine is \{\}; give a new Engine\(\)$/],
  [{ device: 5 }, /^option device is 5; give a string$/],
  [{ device: 'gpu' }, /^device 'gpu' is unknown; choose auto, cpu or cuda:N$/],
];
for (const [option, message] of OPTIONS) {
  test(`options with ${Object.keys(option)}: ${message.source}`, async (t) => {
    for (const call of [api.prune!, api.plan!]) {
      // plan() asks for no text.
      if ('calibration' in option && call === api.plan) continue;
      await t.throwsAsync(call(MODEL, { ...TO_PRUNE, ...option }), {
        code: 'ERR_ARGUMENT',
        message,
      });
    }
  });
}

test('options of an engine and of lists', async (t) => {
  const make = (options: unknown) => () => new Engine(options as object);
  t.throws(make({ thread: 2 }), { message: /^unknown option "thread"; did you mean threads\?$/ });
  t.throws(make(null), { message: /^the options are null; give them as an object$/ });
  await t.throwsAsync(library.benchQuality(MODEL, { sparsities: [0.1, 2] }), {
    message: /^option sparsities is \[ 0.1, 2 \]; give a list .*above 0 and below 1$/,
  });
});

test('the compiler knows the methods', async (t) => {
  const known: library.PruneOptions['method'][] = ['struprune', 'magnitude-l2', 'wanda-sp', 'flap'];
  // @ts-expect-error: there is no such method
  const options: library.PruneOptions = { ...TO_PRUNE, method: 'nope' };
  await t.throwsAsync(library.prune(MODEL, options), { code: 'ERR_ARGUMENT' });
  t.true(known.every((method) => method && (METHOD_NAMES as readonly string[]).includes(method)));
});

test('options that the method does not read are warned of, and no others', async (t) => {
  for (const { reads } of METHODS.values()) {
    t.true(reads === 'all' || reads.every((key) => optionOf(key)?.byMethod));
  }
  const warnings: string[] = [];
  const run = (output: string, more: Partial<library.PruneOptions>) =>
    library.prune(MODEL, { ...TO_PRUNE, surveyTokens: undefined, output, ...more });
  const result = await run(work.path('idle'), {
    method: 'flap',
    mask: 'admm',
    refit: false,
    multiple: 8,
    onWarning: (text) => warnings.push(text),
  });
  t.deepEqual(warnings, ['mask and refit: false have no effect with method flap']);
  t.deepEqual(result.warnings, warnings);
  const read = { method: 'wanda-sp', allocation: 'energy', energyForm: 'full' } as const;
  t.deepEqual((await run(work.path('read'), read)).warnings, []);
  const labels = { fisherLabels: 'sampled', layerWeights: 'probe' } as const;
  t.deepEqual((await run(work.path('labels'), labels)).warnings, [
    'fisherLabels has no effect with layerWeights probe',
  ]);
});

test('options that other options leave without effect', (t) => {
  const few = { output: 'out', calibration: 'text', sparsity: 0.2 };
  const warned = (more: Partial<library.PruneOptions>) => {
    const options = { ...few, ...more };
    return idleOptions(settingsOf(options));
  };
  const uniform = { allocation: 'uniform' } as const;
  const cases: [Partial<library.PruneOptions>, Partial<library.PruneOptions>, string][] = [
    [{ evalTokens: 512 }, { eval: 'text' }, 'evalTokens has no effect without eval'],
    [
      { temperature: 3 },
      { allocation: 'energy' },
      'temperature has no effect without allocation energy',
    ],
    [
      { admmRho: 1, admmGrowth: 2 },
      { mask: 'admm' },
      'admmRho and admmGrowth have no effect without mask admm',
    ],
    [
      { auxiliaryIterations: 2 },
      { ffnSolver: 'auxiliary' },
      'auxiliaryIterations has no effect without ffnSolver auxiliary',
    ],
    [
      { refit: false, gaussNewtonSteps: 1 },
      { refit: true },
      'gaussNewtonSteps has no effect with ffnSolver output',
    ],
    [
      { ffnSolver: 'output', ffnTokens: 512 },
      { ffnSolver: 'auxiliary' },
      'ffnTokens has no effect with ffnSolver output',
    ],
    [
      { ...uniform, surveyTokens: 512 },
      { allocation: 'threshold' },
      'surveyTokens has no effect with allocation uniform',
    ],
    [
      { tuneTokens: 0, tuneRank: 8 },
      { tuneTokens: 512 },
      'tuneRank has no effect where nothing is tuned',
    ],
    [
      { method: 'wanda-sp', temperature: 3 },
      { allocation: 'energy' },
      'temperature has no effect without allocation energy',
    ],
  ];
  for (const [idle, read, warning] of cases) {
    t.deepEqual(warned(idle), [warning]);
    t.deepEqual(warned({ ...idle, ...read }), []);
  }
  // Once, by the first reason.
  t.deepEqual(warned({ ...uniform, fisherLabels: 'empirical' }), [
    'fisherLabels has no effect with allocation uniform',
  ]);
});
