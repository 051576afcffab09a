/** Mixtures of experts: what is pruned of them, and what is refused by name before work starts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { evaluate } from '../../lib/evaluate';
import { exportModel } from '../../lib/export-model';
import {
  type BlockKeep,
  linearParameters,
  multiplyAdds,
  prunedArchitecture,
} from '../../lib/model/groups';
import { type PruneOptions, settingsOf } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { resolve } from '../../lib/spec';
import { isLong } from '../long';
import { safetensors } from './files';
import { mixedGguf, packedGguf } from './mixed-gguf';
import { CALIBRATION, CALIBRATION_IDS, EVALUATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: join(work.emptyFolder(), 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 20 * WINDOW,
  surveyTokens: 10 * WINDOW,
  window: WINDOW,
  sparsity: 0.05,
  threads: 1,
  ...more,
});

const REFUSED: [Partial<PruneOptions>, RegExp][] = [
  [
    { scope: 'ffn' },
    /experts: scope ffn would remove channels of them; choose scope experts, expert-channels, moe or/,
  ],
  [
    { scope: 'all', method: 'flap' },
    /the FFNs of this model are experts, to which method flap can add no biases; choose scope attention/,
  ],
  [{ scope: 'attention', layerWeights: 'fisher' }, /experts: Fisher metrics need gradients/],
  [{ tuneTokens: 4 * WINDOW }, /experts: tuning needs gradients/],
  [{ scope: 'attention', method: 'gisp' }, /experts: importances need gradients/],
];
for (const [more, message] of REFUSED) {
  test(`refused: ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out');
    await t.throwsAsync(prune(work.model('mixtral'), options({ ...more, output })), {
      code: 'ERR_UNSUPPORTED',
      message,
    });
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

const BOTH = { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.28 } as const;

test('whole experts and channels: one pair for all blocks, what stays is alike', async (t) => {
  const model = work.model('qwen3-moe');
  const few = { surveyTokens: 20 * WINDOW, sequential: false } as const;
  const { layers, layerStats, survey, kind, sparsity, verification } = await prune(
    model,
    options({ ...BOTH, ...few }),
  );
  t.like({ survey, kind }, { survey: 'made', kind: 'stock' });
  t.true(sparsity >= 0.28 && Math.abs(verification.actual - verification.expected) < 1e-7);
  const ofExperts = layers.filter(({ expertsBefore }) => expertsBefore > 0);
  const [first] = ofExperts;
  t.true(first!.expertsAfter < 8 && first!.ffnAfter < 24);
  for (const { expertsAfter, ffnAfter, keptExperts } of ofExperts) {
    t.deepEqual([expertsAfter, ffnAfter], [first!.expertsAfter, first!.ffnAfter]);
    t.is(keptExperts!.length, expertsAfter);
  }
  t.is(layerStats.length, 2 * ofExperts.length);
  for (const stats of layerStats) {
    const whole = stats.site === 'experts';
    t.is(stats.groups - stats.removed, whole ? first!.expertsAfter : first!.ffnAfter);
    t.is(stats.expertTokens?.length, whole ? 8 : undefined);
    t.true(stats.predicted! > 0 && stats.relativeError! > 0);
    // Of as many tokens through the dense model the survey has made the very same refit, where it tried that many.
    if (whole && stats.removed === 2) {
      t.true(Math.abs(stats.predicted! / stats.relativeError! - 1) < 1e-7);
    }
  }
});

test('whole experts and channels: as the survey that is kept says, and as either kind alone would', async (t) => {
  const model = work.model('qwen3-moe');
  const saved = work.path('both.survey');
  const made = await prune(model, options({ ...BOTH, saveCalibration: saved }));
  const again = await prune(model, options({ ...BOTH, fromCalibration: saved }));
  t.is(again.survey, 'file');
  t.deepEqual(again.layers, made.layers);
  await t.throwsAsync(
    prune(model, options({ ...BOTH, scope: 'experts', fromCalibration: saved })),
    {
      code: 'ERR_ARGUMENT',
      message: /this run makes no survey/,
    },
  );
  // What one kind alone gives is what a scope of that kind gives.
  const bound = { maxLayerSparsity: 0.4, sparsity: 0.01 };
  const both = await prune(model, options({ ...bound, scope: 'moe' }));
  const one = both.layers.some(({ expertsAfter, expertsBefore }) => expertsAfter < expertsBefore)
    ? 'experts'
    : 'expert-channels';
  const alone = await prune(model, options({ ...bound, scope: one }));
  const [tensors, due] = [both, alone].map(({ output }) => Object.entries(safetensors(output)));
  t.is(tensors!.length, due!.length);
  for (const [i, [name, { bytes }]] of tensors!.entries()) {
    t.true(name === due![i]![0] && bytes.equals(due![i]![1].bytes), name);
  }
});

const REFUSED_BOTH: [string, Partial<PruneOptions>, string, RegExp][] = [
  ['mixtral', { sparsity: 0.7 }, 'ERR_ARGUMENT', /ask for at most 0\.3\d+, or let more go/],
  ['mixtral', { method: 'wanda-sp' }, 'ERR_ARGUMENT', /wanda-sp chooses no whole experts/],
  ['mixtral', { apart: true }, 'ERR_ARGUMENT', /share one budget; leave apart: true out/],
  ['mixtral', { method: 'reap' }, 'ERR_ARGUMENT', /reap chooses whole experts alone/],
  ['mixtral', { allocation: 'energy' }, 'ERR_ARGUMENT', /experts have no energy allocation/],
  [
    'mixtral',
    { allocation: 'threshold', layerWeights: 'residual' },
    'ERR_ARGUMENT',
    /no layer weights by residual; choose layerWeights probe or output/,
  ],
  [
    'mixtral',
    { sparsity: undefined, targetMacs: '80%' },
    'ERR_UNSUPPORTED',
    /a token passes as many experts as before/,
  ],
  ['llama2', {}, 'ERR_UNSUPPORTED', /this model has no experts/],
];
for (const [model, more, code, message] of REFUSED_BOTH) {
  test(`whole experts and channels, refused: ${model}, ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), 'out');
    const asked = options({ ...BOTH, ...more, output });
    await t.throwsAsync(prune(work.model(model), asked), { code, message });
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

test('without a scope experts and their channels go, and the run says so', async (t) => {
  const model = work.model('qwen3-moe');
  const said =
    /^a mixture of experts: whole experts go, and channels of the others, as many everywhere/;
  const { scope: _, ...both } = BOTH;
  const chosen = await prune(model, options({ ...both, swaps: 4, layerWeights: 'none' }));
  t.like(chosen, { scope: 'moe', allocation: 'uniform' });
  t.is(chosen.notes.filter((note) => said.test(note)).length, 1);
  // Of what the model has decided.
  t.deepEqual(
    chosen.warnings.filter((warning) => /no effect/.test(warning)),
    ['layerWeights has no effect with allocation uniform'],
  );
  const asked = await prune(model, options({ ...BOTH, swaps: 4 }));
  t.deepEqual(chosen.layers, asked.layers);
  t.false(asked.notes.some((note) => said.test(note)));
  for (const { expertsBefore, ffnBefore, ffnAfter } of chosen.layers) {
    t.is(ffnAfter < ffnBefore, expertsBefore > 0, 'a dense FFN stays');
  }
  const planned = await plan(model, options(both));
  t.true(planned.notes.some((note) => said.test(note)));
});

test('by trials each block loses experts of its own, and what they say is what is lost', async (t) => {
  for (const name of ['mixtral', 'olmoe']) {
    const model = work.model(name);
    const tokens = 10 * WINDOW;
    const more = {
      scope: 'experts',
      allocation: 'threshold',
      dtype: 'f32',
      fullPrecision: true,
    } as const;
    const asked = {
      ...more,
      calibrationTokens: tokens,
      surveyTokens: tokens,
      maxLayerSparsity: 0.25,
    };
    // As many as a trial is without, of one block alone: its calibration is that of the trial.
    const { output, layerStats, kind } = await prune(model, options({ ...asked, sparsity: 0.08 }));
    t.is(kind, 'own-modeling');
    const pruned = layerStats.filter(({ removed }) => removed > 0);
    t.is(pruned.length, 1);
    const [{ groups, removed, predicted }] = pruned as [(typeof pruned)[number]];
    t.is(removed, groups / 4);
    const text = { text: CALIBRATION, maxTokens: tokens, window: WINDOW };
    const { against } = await evaluate(output, { ...text, against: model, fullPrecision: true });
    const lost = against!.klToDense;
    t.true(Math.abs(predicted! - lost) < 2e-3 * lost, `${name}: ${predicted}, ${lost}`);
  }
});

test('a scope that is given stays, and one of methods that choose no channels of experts', async (t) => {
  const [source, dense] = await Promise.all(
    ['qwen3-moe', 'llama2'].map((name) => openCheckpoint(work.model(name))),
  );
  const scopeOf = (more: Partial<PruneOptions>, model = source!) =>
    resolve(model, settingsOf(options(more))).settings.scope;
  t.is(scopeOf({}), 'moe');
  t.is(scopeOf({ allocation: 'uniform' }), 'moe');
  t.is(scopeOf({ sparsity: undefined, targetMacs: '99%' }), 'expert-channels');
  t.is(scopeOf({ method: 'wanda-sp' }), 'expert-channels');
  t.is(scopeOf({ scope: 'all' }), 'all');
  t.is(scopeOf({ scope: 'attention' }), 'attention');
  t.is(scopeOf({ method: 'reap' }), 'experts');
  t.is(scopeOf({ method: 'osscar' }), 'ffn', 'of a dense block');
  t.is(scopeOf({}, dense), 'all');
  t.is(scopeOf({ allocation: 'threshold' }), 'moe');
  t.throws(() => scopeOf({ allocation: 'energy' }), {
    code: 'ERR_ARGUMENT',
    message: /no energy allocation; choose allocation uniform or threshold, or scope attention/,
  });
});

const REFUSED_EXPERTS: [string, Partial<PruneOptions>, string, RegExp][] = [
  [
    'mixtral',
    { sparsity: 0.6 },
    'ERR_ARGUMENT',
    /sparsity 0.6000 asks for .* ask for at most 0\.37\d+, .* more experts stay than a token passes/,
  ],
  ['mixtral', { method: 'flap' }, 'ERR_ARGUMENT', /method flap chooses no whole experts/],
  [
    'mixtral',
    { method: 'reap', scope: 'attention' },
    'ERR_ARGUMENT',
    /reap chooses whole experts alone; leave scope attention out/,
  ],
  [
    'mixtral',
    { sparsity: undefined, targetMacs: '80%' },
    'ERR_UNSUPPORTED',
    /a token passes as many experts as before/,
  ],
  ['llama2', {}, 'ERR_UNSUPPORTED', /this model has no experts/],
  ['llama2', { method: 'reap', scope: undefined }, 'ERR_UNSUPPORTED', /this model has no experts/],
];
for (const [model, more, code, message] of REFUSED_EXPERTS) {
  test(`whole experts, refused: ${model}, ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), 'out');
    const asked = options({ scope: 'experts', ...more, output });
    await t.throwsAsync(prune(work.model(model), asked), { code, message });
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

const REFUSED_CHANNELS: [string, Partial<PruneOptions>, string, RegExp][] = [
  ['mixtral', { sparsity: 0.95 }, 'ERR_ARGUMENT', /ask for at most 0\.62\d+/],
  ['mixtral', { method: 'flap' }, 'ERR_ARGUMENT', /flap chooses no channels inside experts/],
  ['mixtral', { allocation: 'threshold' }, 'ERR_ARGUMENT', /channels of experts alone go .* alike/],
  ['mixtral', { method: 'reap' }, 'ERR_ARGUMENT', /reap chooses whole experts alone/],
  ['mixtral', { bias: 'add' }, 'ERR_ARGUMENT', /adds no biases/],
  ['llama2', {}, 'ERR_UNSUPPORTED', /this model has no experts/],
];
for (const [model, more, code, message] of REFUSED_CHANNELS) {
  test(`channels of experts, refused: ${model}, ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), 'out');
    const asked = options({ scope: 'expert-channels', sparsity: 0.2, ...more, output });
    await t.throwsAsync(prune(work.model(model), asked), { code, message });
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

test('channels of experts: a target in multiply-adds counts those that a token passes', async (t) => {
  const model = work.model('mixtral');
  const asked = { scope: 'expert-channels', sparsity: undefined, targetMacs: '90%' } as const;
  const { output, layers } = await prune(model, options(asked));
  const before = (await openCheckpoint(model)).architecture;
  const after = (await openCheckpoint(output)).architecture;
  t.true(multiplyAdds(after) <= 0.9 * multiplyAdds(before));
  // One step less would not do.
  const blocks = after.blocks.map((block) => ({ ...block, ffn: block.ffn + 8 }));
  t.true(multiplyAdds({ ...after, blocks }) > 0.9 * multiplyAdds(before));
  t.true(layers.every(({ ffnBefore, ffnAfter }) => ffnAfter < ffnBefore));
});

test('channels of experts: what has no effect is named', async (t) => {
  const more = { scope: 'expert-channels', alpha: 0.5, ffnSolver: 'gauss-newton' } as const;
  const asked = options({ ...more, sparsity: 0.2, mask: 'admm', swaps: 2 });
  const { warnings } = await prune(work.model('mixtral'), asked);
  t.regex(
    warnings.join(),
    /^ffnSolver and alpha and surveyTokens have no effect with scope expert-channels$/,
  );
});

test('an expert that no token is routed to stays, or loses the channels with the least weights', async (t) => {
  const few = { window: 2, calibrationTokens: 2, sparsity: 0.1, dtype: 'f32' } as const;
  const model = work.model('qwen3-moe');
  const dense = join(work.emptyFolder(), 'dense');
  await exportModel(model, { output: dense, dtype: 'f32' });
  const unreached = { experts: 0, 'expert-channels': 0 };
  for (const scope of ['experts', 'expert-channels'] as const) {
    const { output, layers, layerStats } = await prune(model, options({ ...few, scope }));
    for (const { index, expertTokens } of layerStats) {
      for (const [place, expert] of layers[index]!.keptExperts!.entries()) {
        if (expertTokens![expert]! > 0) continue;
        unreached[scope] += 1;
        const was = columnsOf(dense, index, expert);
        const norms = was.map((column) => column.reduce((sum, value) => sum + value ** 2, 0));
        const least = norms.toSorted((a, b) => b - a)[layers[index]!.ffnAfter - 1]!;
        const due = was.filter((_, c) => norms[c]! >= least);
        t.deepEqual(columnsOf(output, index, place), due, `${scope}, ${expert} of block ${index}`);
      }
    }
  }
  t.true(Math.min(...Object.values(unreached)) > 0);
});

/** Of an expert's output map, in floats. */
function columnsOf(folder: string, block: number, expert: number): number[][] {
  const name = `model.layers.${block}.mlp.experts.${expert}.down_proj.weight`;
  const { bytes, shape } = safetensors(folder)[name]!;
  const values = new Float32Array(Uint8Array.from(bytes).buffer);
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: columns }, (_, c) =>
    Array.from({ length: rows }, (_, i) => values[i * columns + c]!),
  );
}

test('experts that calibration hardly reaches are named, and options without effect too', async (t) => {
  const more = { scope: 'experts', swaps: 4, calibrationTokens: WINDOW } as const;
  const { warnings, layerStats } = await prune(work.model('qwen3-moe'), options(more));
  t.true(warnings.some((warning) => /swaps .*no effect with scope experts/.test(warning)));
  const rare = layerStats.map(({ index, expertTokens }) => {
    const experts = expertTokens!.flatMap((tokens, expert) => (tokens < 16 ? [expert] : []));
    return [index, experts] as const;
  });
  t.true(rare.some(([, experts]) => experts.length > 0));
  const places = rare.filter(([, experts]) => experts.length > 0);
  const names = places.map(([block, experts]) => `${experts.join(', ')} of block ${block}`);
  const named = `fewer than 16 calibration tokens were routed to experts ${names.join('; ')}: `;
  t.is(warnings.filter((warning) => warning.startsWith(named)).length, 1);
  for (const { expertTokens } of layerStats) {
    t.is(
      expertTokens!.reduce((sum, tokens) => sum + tokens),
      3 * WINDOW,
    );
  }
});

test('what the states go on through says nothing of the first refit', async (t) => {
  const first = async (more: Partial<PruneOptions>) => {
    // With few tokens the ridge leaves little of a refit.
    const calibrationTokens = 160 * WINDOW;
    const asked = options({ scope: 'experts', sparsity: 0.2, calibrationTokens, ...more });
    const { layerStats, layers } = await prune(work.model('qwen3-moe'), asked);
    return { kept: layers.map(({ keptExperts }) => keptExperts)[1], stats: layerStats };
  };
  const sequential = await first({});
  const dense = await first({ sequential: false });
  const kept = await first({ sequential: false, refit: false });
  const errors = [sequential, dense, kept].map(({ stats }) =>
    stats.map(({ relativeError }) => relativeError!),
  );
  t.is(errors[1]![0], errors[0]![0]);
  t.not(errors[1]![1], errors[0]![1]);
  t.deepEqual(dense.kept, kept.kept);
  for (const [i, error] of errors[2]!.entries()) t.true(errors[1]![i]! < 0.8 * error);
});

test('of a trained model the exact error costs less than the score, and with a refit least', async (t) => {
  const model = join(__dirname, '../../assets/tiny-moe');
  const text = {
    ...{ calibration: CALIBRATION, calibrationTokens: isLong ? 8192 : 4096 },
    ...{ eval: EVALUATION, evalTokens: isLong ? 4096 : 2048, window: 256 },
  };
  const perplexity = async (more: Partial<PruneOptions>) => {
    const { perplexityAfter } = await prune(model, options({ ...text, sparsity: 0.44, ...more }));
    return perplexityAfter!;
  };
  const score = await perplexity({ method: 'reap' });
  const kept = await perplexity({ scope: 'experts', refit: false });
  const refitted = await perplexity({ scope: 'experts' });
  t.true(refitted < kept && kept < score, `${refitted}, ${kept}, ${score}`);
  const channels = await perplexity({ scope: 'expert-channels' });
  const unfitted = await perplexity({ scope: 'expert-channels', refit: false });
  const magnitudes = await perplexity({ scope: 'expert-channels', method: 'magnitude-l2' });
  t.true(channels < refitted && channels < unfitted && unfitted < magnitudes, `${channels}`);
});

test('a plan counts every pass over the experts that a token passes', async (t) => {
  const model = work.model('qwen3-moe');
  const { architecture } = await openCheckpoint(model);
  const linear = linearParameters(architecture);
  const solve = async (removed: number, refit: boolean) => {
    const experts = Int32Array.from({ length: 8 - removed }, (_, j) => j);
    const keeps = architecture.blocks.map((block): BlockKeep => (block.experts ? { experts } : {}));
    const left = linearParameters(prunedArchitecture(architecture, keeps));
    const sparsity = 1 - left / linear;
    const { stages } = await plan(model, options({ scope: 'experts', sparsity, refit }));
    return stages.find(({ stage }) => stage === 'solve')!.flops.single;
  };
  // In two blocks, of 64 numbers a token: a router of 8, and maps of 24 rows of 2 · 3 + 1 experts.
  const pass = 2 * 20 * WINDOW * 2 * 64 * (8 + 7 * 3 * 24);
  t.is((await solve(5, false)) - (await solve(2, false)), 3 * pass);
  // Each of 6 experts has its turn: out of the output and back, with a share of 3 / 6 of the tokens.
  const routed = 10 * WINDOW;
  const turn = 2 * 20 * WINDOW * 64 * 6 + 2 * (2 * routed * 64 * 3 * 24) + routed * 24 * 24;
  t.is((await solve(2, true)) - (await solve(2, false)), 2 * 2 * 6 * turn);
});

test('stacked experts go in, single ones come out, and a dense block keeps its FFN', async (t) => {
  const { output, kind, verification } = await prune(
    work.model('qwen3-moe'),
    options({ scope: 'attention', allocation: 'uniform' }),
  );
  t.is(kind, 'stock');
  t.true(Math.abs(verification.actual - verification.expected) < 1e-7);
  const before = await openCheckpoint(work.model('qwen3-moe'));
  const after = await openCheckpoint(output);
  t.deepEqual(after.architecture.routing, before.architecture.routing);
  t.deepEqual(
    after.architecture.blocks.map(({ ffn, experts }) => [ffn, experts]),
    before.architecture.blocks.map(({ ffn, experts }) => [ffn, experts]),
  );
  t.true(after.architecture.blocks.every(({ kvHeads }) => kvHeads === 1));

  const stacked = await prune(
    work.model('olmoe'),
    options({ sparsity: 0, scope: 'attention', allocation: 'uniform' }),
  );
  const names = (await openCheckpoint(stacked.output)).blocks[0]!;
  t.is(names['experts.7.up']!.name, 'model.layers.0.mlp.experts.7.up_proj.weight');
  t.true(existsSync(join(stacked.output, 'config.json')));
});

const QUANTISATION = 'quantization_config';
const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

test('MXFP4: what is not refitted keeps its bytes, what is stays MXFP4, and --dtype makes all of it anew', async (t) => {
  const source = work.model('gpt-oss-mxfp4');
  const before = safetensors(source);
  const heads = { scope: 'attention', allocation: 'uniform' } as const;
  const channels = { scope: 'expert-channels', sparsity: 0.2 } as const;
  const rows: (Partial<PruneOptions> & { stays: 'all' | 'gate and up' | 'nothing' })[] = [
    { ...heads, stays: 'all' },
    { ...heads, maxShardBytes: 50_000, stays: 'all' },
    { scope: 'experts', sparsity: 0.2, refit: false, stays: 'all' },
    { method: 'reap', sparsity: 0.2, stays: 'all' },
    { scope: 'experts', sparsity: 0.2, stays: 'gate and up' },
    { ...channels, stays: 'gate and up' },
    { ...channels, refit: false, stays: 'gate and up' },
    { scope: 'moe', sparsity: 0.4, maxLayerSparsity: 0.5, stays: 'gate and up' },
    { ...heads, dtype: 'bf16', stays: 'nothing' },
    { scope: 'experts', sparsity: 0.2, dtype: 'bf16', stays: 'nothing' },
    // No whole blocks of 32.
    { ...channels, multiple: 8, stays: 'nothing' },
  ];
  for (const { stays, ...more } of rows) {
    const run = await prune(source, options(more));
    const { output, kind, layers, verification, warnings, notes } = run;
    t.is(kind, 'stock');
    t.true(Math.abs(verification.actual - verification.expected) < 1e-7);
    const after = safetensors(output);
    const mlp = 'model.layers.1.mlp.experts';
    const said = [...warnings, ...notes].filter((line) => /MXFP4/.test(line));
    if (stays === 'nothing') {
      t.regex(said.join(), /experts in MXFP4 become BF16: config.json has no quantization_config/);
      t.is(configOf(output)[QUANTISATION], undefined);
      const { dtype, shape } = after[`${mlp}.gate_up_proj`]!;
      t.deepEqual([dtype, shape.slice(1)], ['BF16', [64, 2 * layers[1]!.ffnAfter]]);
      continue;
    }
    t.is(said.length, stays === 'all' ? 0 : 1, said.join('; '));
    t.deepEqual(configOf(output)[QUANTISATION], configOf(source)[QUANTISATION]);
    t.true(run.bytesAfter < run.bytesBefore);
    const kept = [...(layers[1]!.keptExperts ?? [0, 1, 2, 3])];
    const { ffnBefore, ffnAfter } = layers[1]!;
    t.true(kept.length < 4 || ffnAfter < ffnBefore || more.scope === 'attention');
    for (const [map, part] of ['gate_up_proj', 'down_proj'].flatMap((map) =>
      ['blocks', 'scales', 'bias'].map((part) => [map, part] as const),
    )) {
      const name = `${mlp}.${map}_${part}`;
      const was = before[name]!;
      const { dtype, shape, bytes } = after[name]!;
      const inward = map === 'gate_up_proj';
      const due = [kept.length, ...was.shape.slice(1)];
      if (inward) due[1] = 2 * ffnAfter;
      else if (part !== 'bias') due[2] = ffnAfter / 32;
      t.deepEqual([dtype, shape], [was.dtype, due], name);
      const own = rowsOf(was, inward ? 1 : 0);
      // Of gate and up so many rows of each expert that stays, as they come; of others, the expert.
      const rows = rowsOf({ shape, bytes }, inward ? 1 : 0);
      const each = own.length / 4;
      let at = 0;
      for (const [i, row] of rows.entries()) {
        const first = kept[Math.floor((i * kept.length) / rows.length)]! * each;
        if ((i * kept.length) % rows.length === 0) at = first;
        while (at < first + each && !own[at]!.equals(row)) at += 1;
        if (inward || stays === 'all') t.true(at < first + each, `${name}, row ${i}`);
        at += 1;
      }
    }
  }
});

test('MXFP4: a target in bytes is one of such bytes', async (t) => {
  const source = work.model('gpt-oss-mxfp4');
  const least = { scope: 'experts', sparsity: undefined, targetSize: '75%' } as const;
  for (const refit of [true, false]) {
    await t.throwsAsync(prune(source, options({ ...least, refit, maxLayerSparsity: 0.25 })), {
      code: 'ERR_ARGUMENT',
      message: /the target is 132,\d{3} bytes, .* keep 163,\d{3} bytes/,
    });
    const asked = options({ ...least, refit, targetSize: '95%' });
    const { bytesBefore, bytesAfter } = await prune(source, asked);
    t.true(bytesAfter <= 0.95 * bytesBefore);
  }
});

/** The bytes of a tensor along its first axes, one more than `axis`. */
function rowsOf({ shape, bytes }: { shape: number[]; bytes: Buffer }, axis: number): Buffer[] {
  const count = shape.slice(0, axis + 1).reduce((product, length) => product * length, 1);
  const each = bytes.length / count;
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * each, (i + 1) * each));
}

test('MXFP4 of a GGUF file is that of the folder, and stays where nothing refits it', async (t) => {
  const folder = work.model('gpt-oss-mxfp4');
  const source = await packedGguf(work.path('packed.gguf'), folder);
  const asked = { text: EVALUATION, window: WINDOW, maxTokens: 10 * WINDOW, threads: 1 };
  const [theirs, ours] = [await evaluate(folder, asked), await evaluate(source, asked)];
  t.is(ours.perplexity, theirs.perplexity);
  for (const refit of [false, true]) {
    const output = join(work.emptyFolder(), 'out.gguf');
    const more = { scope: 'experts', sparsity: 0.2, refit, output } as const;
    const { layers, verification } = await prune(source, options(more));
    t.true(Math.abs(verification.actual - verification.expected) < 1e-7);
    for (const { index, keptExperts } of layers) {
      for (const part of ['gate_exps', 'up_exps', 'down_exps']) {
        const name = `blk.${index}.ffn_${part}.weight`;
        const [before, after] = [source, output].map((file) => expertsIn(file, name));
        const isKept = part !== 'down_exps' || !refit;
        t.is(after!.dtype, isKept ? 'MXFP4' : 'Q4_1', name);
        if (!isKept) continue;
        t.deepEqual(
          after!.each,
          [...keptExperts!].map((expert) => before!.each[expert]),
        );
      }
    }
  }
});

test('MXFP4 of a folder that is written again stays', async (t) => {
  const source = work.model('gpt-oss-mxfp4');
  const output = join(work.emptyFolder(), 'again');
  const { notes } = await exportModel(source, { output });
  t.deepEqual(notes, []);
  const [before, after] = [safetensors(source), safetensors(output)];
  t.deepEqual(Object.keys(after).sort(), Object.keys(before).sort());
  for (const [name, { bytes }] of Object.entries(after)) {
    t.true(bytes.equals(before[name]!.bytes), name);
  }
});

/** The experts of a block's tensor in a GGUF file, or the rows of its router, as bytes. */
function expertsIn(path: string, name: string): { dtype: string; each: string[] } {
  const { dtype, offset, bytes, shape } = parseGguf(path).tensors.find((one) => one.name === name)!;
  const whole = readFileSync(path).subarray(offset, offset + bytes);
  const length = bytes / shape[0]!;
  const each = Array.from({ length: shape[0]! }, (_, i) =>
    whole.toString('hex', i * length, (i + 1) * length),
  );
  return { dtype, each };
}

test('GGUF in and out: experts that stay keep their bytes but those of a refit, and routers stay F32', async (t) => {
  const source = work.path('source.gguf');
  await exportModel(work.model('qwen3-moe-even'), { output: source, dtype: 'q8_0' });
  for (const refit of [true, false]) {
    const output = join(work.emptyFolder(), 'out.gguf');
    const more = { scope: 'experts', sparsity: 0.2, refit, output } as const;
    const { layers, verification } = await prune(source, options(more));
    t.true(Math.abs(verification.actual - verification.expected) < 1e-7);
    for (const { index, keptExperts } of layers) {
      t.true(keptExperts!.length < 6);
      for (const part of ['gate_exps', 'up_exps', 'down_exps', 'gate_inp']) {
        const name = `blk.${index}.ffn_${part}.weight`;
        const [before, after] = [source, output].map((path) => expertsIn(path, name));
        t.is(before!.dtype, part === 'gate_inp' ? 'F32' : 'Q8_0');
        const kept = { ...before!, each: keptExperts!.map((expert) => before!.each[expert]!) };
        if (refit && part === 'down_exps') {
          t.is(after!.dtype, 'Q8_0');
          t.true(after!.each.every((bytes, i) => bytes !== kept.each[i]));
        } else {
          t.deepEqual(after, kept);
        }
      }
    }
  }
});

for (const model of [
  'mixtral',
  'qwen2-moe',
  'qwen3-moe-even',
  'olmoe-alike',
  'granite-moe',
  'granite-moe-shared',
  'lfm2-moe',
  'gpt-oss-mxfp4',
]) {
  test(`GGUF of ${model} is the folder's model`, async (t) => {
    const folder = work.model(model);
    const file = work.path(`${model}.gguf`);
    await exportModel(folder, { output: file, dtype: 'f32' });
    const { architecture: before } = await openCheckpoint(folder);
    const { architecture: after } = await openCheckpoint(file);
    const { family, blocks, routing, rope, biases } = before;
    t.like(after, { family, blocks, routing, rope, biases });
    // The window that Mixtral's small model slides by.
    const asked = { text: EVALUATION, window: 16, maxTokens: 320, threads: 1 };
    const [dense, same] = [await evaluate(folder, asked), await evaluate(file, asked)];
    t.is(same.perplexity, dense.perplexity);
  });
}

test('GGUF whose down maps are of several types: refitted ones are written as one', async (t) => {
  const [base, other] = [work.path('base.gguf'), work.path('other.gguf')];
  await exportModel(work.model('qwen3-moe-even'), { output: base, dtype: 'q8_0' });
  await exportModel(work.model('qwen3-moe-even'), { output: other, dtype: 'q4_0' });
  const names = /blk\.1\.ffn_down_exps/;
  const source = await mixedGguf(work.path('mixed-experts.gguf'), { base, other, names });
  const output = join(work.emptyFolder(), 'out.gguf');
  const asked = options({ scope: 'experts', sparsity: 0.2, output });
  const { verification, warnings } = await prune(source, asked);
  t.true(Math.abs(verification.actual - verification.expected) < 1e-7, warnings.join('; '));
  for (const block of [0, 1]) {
    // 8.5 and 4.5 bits a weight: 6.5 on average, of which the narrowest stand-in has 8.5.
    t.is(expertsIn(output, `blk.${block}.ffn_down_exps.weight`).dtype, 'Q8_0');
    t.is(expertsIn(output, `blk.${block}.ffn_up_exps.weight`).dtype, 'Q8_0');
  }
});
