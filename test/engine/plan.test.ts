/** Predicted memory against what the budget really counted, and what is refused on its ground. STRUPRUNE_LONG=1: more rows. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SHAPES } from '../../lib/bench/memory/shapes';
import { storageBytes } from '../../lib/checkpoint/container';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import type { NativeAddon } from '../../lib/engine/native';
import { addonFile } from '../../lib/engine/native-files';
import { exportModel } from '../../lib/export-model';
import type { ModelSource, TensorRef } from '../../lib/model/architecture';
import { blockTensors, modelShapes } from '../../lib/model/axes';
import { architectureFromConfig } from '../../lib/model/from-config';
import { expertAt } from '../../lib/model/sublayers';
import { planRun } from '../../lib/models/decoders/plan';
import { planInput } from '../../lib/models/decoders/plan-input';
import type { PruneOptions } from '../../lib/options';
import { settingsOf } from '../../lib/options';
import { type Plan, type PlanOptions, plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { askedWindows } from '../../lib/pruning/texts';
import { resolve } from '../../lib/spec';
import { CALIBRATION, CALIBRATION_IDS, workspace } from '../e2e/models';
import { long } from '../long';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;
const base = (more: Partial<PruneOptions>): PruneOptions => ({
  output: work.path(more.format === 'gguf' ? 'out.gguf' : 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 64 * WINDOW,
  tuneTokens: 0,
  surveyTokens: 16 * WINDOW,
  window: WINDOW,
  sparsity: 0.2,
  threads: 2,
  ...more,
});

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama2', {}],
  ['llama2', { allocation: 'uniform', threads: 1, sparsity: 0.05 }],
  ['llama2', { scope: 'all', alpha: 0.5, beta: 0.5, selection: 'fisher' }],
  ['qwen3', { scope: 'all', selection: 'fisher', threads: 12 }],
  ['llama2', { ffnSolver: 'gauss-newton', sparsity: 0.1, threads: 12 }],
  ['llama-bias', { ffnSolver: 'auxiliary', sparsity: 0.05, threads: 12 }],
  ['qwen3', { mask: 'admm', ffnSolver: 'output', allocation: 'uniform' }],
  ['qwen3', { mask: 'gumbel', maskSamples: 2, ffnSolver: 'output', allocation: 'uniform' }],
  ['qwen2', { layerWeights: 'output', sequential: false, swaps: 4 }],
  ['llama3', { format: 'gguf', dtype: 'q4_1', allocation: 'uniform', sparsity: 0.1 }],
  ['qwen3', { scope: 'ffn', layerWeights: 'probe', searchRounds: 2, threads: 12 }],
  [
    'llama3-tied',
    { allocation: 'uniform', scope: 'ffn', maskConfidence: true, swaps: 4, ffnSolver: 'output' },
  ],
  ['opt-pre', { scope: 'attention', sparsity: 0.1 }],
  ['llama2', { depth: true, maxLayerSparsity: 0.2 }],
  ['opt-post', { method: 'flap', evalTokens: 8 * WINDOW, eval: CALIBRATION }],
  ['llama3-tied', { method: 'wanda-sp', calibrationTokens: 300 * WINDOW }],
  ['llama3-tied', { method: 'osscar' }],
  ['llama3-tied', { method: 'tyr-local', scope: 'all' }],
  ['llama3-tied', { method: 'gisp' }],
  ['gemma3-unlike', { scope: 'all', selection: 'fisher', threads: 12 }],
  ['qwen3-moe', { scope: 'experts', sparsity: 0.2 }],
  ['qwen3-moe', { scope: 'expert-channels', sparsity: 0.2, allocation: 'uniform' }],
  ['mixtral', { scope: 'expert-channels', method: 'wanda-sp', sparsity: 0.2 }],
  ['qwen3-moe', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.28 }],
  ['gpt-oss', { scope: 'moe', allocation: 'threshold', sparsity: 0.1 }],
  ['lfm2', { scope: 'all' }],
  ['gpt-neox', { scope: 'all', alpha: 0.5, beta: 0.5, threads: 12 }],
  ['gpt-neox', { method: 'magnitude-l2', tuneTokens: 40 * WINDOW }],
  ['qwen3.5', { scope: 'all' }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['llama2', { ffnSolver: 'gauss-newton', gaussNewtonSteps: 1, sparsity: 0.1 }],
    ['llama2', { ffnSolver: 'gauss-newton', gaussNewtonSteps: 2, sparsity: 0.1 }],
    ['qwen3', { method: 'magnitude-l2', tuneTokens: 300 * WINDOW }],
    ['opt-post', { method: 'magnitude-l2', tuneTokens: 300 * WINDOW, threads: 12 }],
    ['qwen3-moe', { scope: 'expert-channels', sparsity: 0.2, sequential: false }],
    ['gpt-oss', { scope: 'experts', sparsity: 0.2 }],
    ['llama3-tied', { scope: 'all', layerWeights: 'probe', searchRounds: 2, sparsity: 0.3 }],
    ['llama-bias', { ffnSolver: 'auxiliary', allocation: 'uniform', sparsity: 0.05 }],
    ['opt-pre', { ffnSolver: 'gauss-newton', allocation: 'uniform', sparsity: 0.05 }],
    ['qwen3', { mask: 'admm', admmStart: 'sweep', ffnSolver: 'output', allocation: 'uniform' }],
    ['llama3-tied', { scope: 'all', layerWeights: 'probe' }],
    ['opt-pre', { scope: 'all', layerWeights: 'probe', searchRounds: 1, sparsity: 0.3 }],
    ['gpt-neox', { method: 'gisp', scope: 'ffn', threads: 12 }],
    ['gemma3-unlike', { method: 'magnitude-l2', tuneTokens: 300 * WINDOW }],
    ['phi3', { scope: 'all', selection: 'fisher', threads: 12 }],
    ['gpt2', { scope: 'all', sparsity: 0.1 }],
    ['qwen3-moe', { scope: 'experts', sparsity: 0.2, sequential: false }],
    ['gpt-oss', { scope: 'expert-channels', sparsity: 0.2, mask: 'admm', swaps: 4 }],
    ['qwen3-moe', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.28, sequential: false }],
    ['gpt-oss', { scope: 'moe', sparsity: 0.1, swaps: 4 }],
    ['qwen3-moe', { scope: 'experts', allocation: 'threshold', sparsity: 0.2 }],
    ['gpt-neox', { scope: 'attention', sparsity: 0.1, layerWeights: 'probe' }],
    ['gpt-neox', { scope: 'all', layerWeights: 'probe', searchRounds: 1, sparsity: 0.3 }],
    ['qwen3.5-unlike', { scope: 'all', ffnSolver: 'output' }],
    ['lfm2-unlike', { scope: 'ffn', ffnSolver: 'output', allocation: 'uniform', sparsity: 0.1 }],
    ['gpt2', { method: 'magnitude-l2', tuneTokens: 40 * WINDOW }],
    ['opt-pre', { method: 'magnitude-l2', tuneTokens: 40 * WINDOW }],
  ]),
];

/**
 * No limit, which would keep the peak down by itself, but where kept activations, metrics, a step's states, and what a
 * refit of gate and up reads then fill free memory.
 */
function fills({
  selection,
  method,
  ffnSolver,
  scope,
  tuneTokens,
}: Partial<PruneOptions>): boolean {
  const refits = method === undefined && ffnSolver !== 'output' && scope !== 'attention';
  const keeps = method === 'wanda-sp' || method === 'gisp';
  return refits || keeps || selection === 'fisher' || tuneTokens !== undefined;
}

for (const [name, more] of ROWS) {
  const limit = ({ memory }: { memory: number }) => (fills(more) ? memory : undefined);
  test.serial(`${name}, ${JSON.stringify(more)}`, async (t) => {
    const model = work.model(name);
    const planned = await plan(model, base(more));
    const memory = planned.memory - planned.reserve;
    const pruned = await prune(model, base({ ...more, memory: limit(planned) }));
    const { peakBudgetBytes } = pruned;
    // Operands that are packed in memory to spare (AMX) fill it up to the plan.
    t.true(peakBudgetBytes <= memory, `needed ${peakBudgetBytes}, planned ${memory}`);
    // How many groups go is known later, so that the plan has the worst of it.
    const known = await hindsight(model, base(more), pruned);
    t.true(known <= memory, `planned ${memory}, in hindsight ${known}`);
    t.true(known <= 1.02 * peakBudgetBytes, `needed ${peakBudgetBytes}, in hindsight ${known}`);
    if (more.allocation === 'uniform') t.is(known, memory);
  });
}

/** What the native side of a run would have been planned with, had it been known what goes from each layer. */
async function hindsight(
  model: string,
  options: PruneOptions,
  { layerStats }: Pick<PruneResult, 'layerStats'>,
): Promise<number> {
  const settings = settingsOf(options);
  const setup = resolve(await openCheckpoint(model), settings, 0);
  await using engine = new Engine({ threads: options.threads });
  const evaluation = settings.eval ? { tokens: settings.evalTokens!, window: WINDOW } : null;
  const tuning = askedWindows(setup.settings, WINDOW);
  const sizes = { engine, tokens: settings.calibrationTokens, tuning, evaluation };
  const removed = Int32Array.from(setup.layers, ({ block, site }) => {
    const joined = expertAt(site) === null ? site : 'expert-channels';
    return layerStats.find((one) => one.index === block && one.site === joined)!.removed;
  });
  const { memory, reserve } = planRun({ ...planInput(setup, sizes), removed }, 0);
  return memory - reserve;
}

test.serial('the smallest budget is enough, one byte less is refused with it', async (t) => {
  const model = work.model('llama2');
  const settings = { calibrationTokens: 300 * WINDOW };
  const { memory, smallestMemory, statesPaged } = await plan(model, base(settings));
  t.false(statesPaged);
  t.true(smallestMemory < memory, 'hidden states can go to scratch');
  const tight = await plan(model, base({ ...settings, memory: smallestMemory }));
  t.like(tight, { fits: true, statesPaged: true, memory: smallestMemory });
  t.true(tight.scratch > (await plan(model, base(settings))).scratch);

  const roomy = await prune(model, base(settings));
  const paged = await prune(model, base({ ...settings, memory: smallestMemory }));
  t.true(paged.peakBudgetBytes <= smallestMemory - tight.reserve);
  t.deepEqual(paged.layers, roomy.layers);
  t.is(paged.verification.actual, roomy.verification.actual);

  const least = Math.ceil(smallestMemory / 2 ** 20);
  await t.throwsAsync(prune(model, base({ ...settings, memory: smallestMemory - 1 })), {
    code: 'ERR_BUDGET',
    message: new RegExp(`raise memory to ${least} \\* 2 \\*\\* 20 or more`),
  });
});

test('scratch and room grow with the tokens and the model, memory by their ids when paged', async (t) => {
  const model = work.model('llama2');
  const settings = { window: WINDOW, threads: 2, layerWeights: 'output', tuneTokens: 0 } as const;
  // One page alone has no second segment.
  const small = await plan(model, { ...settings, calibrationTokens: 2 * 4096 });
  const large = await plan(model, { ...settings, calibrationTokens: 8 * 4096 });
  t.is(large.smallestMemory, small.smallestMemory + 4 * 6 * 4096);
  t.true(large.scratch > small.scratch && large.memory > small.memory);
  t.is(large.disk, small.disk);
  t.true(large.seconds > 0 && large.gemmRate > 0);
  t.deepEqual(
    large.stages.map(({ stage }) => stage),
    ['evaluate', 'survey', 'solve'],
  );
});

test('more effort takes longer, and what is given is what each has', async (t) => {
  const model = work.model('llama2');
  const asked = { window: WINDOW, threads: 2 } as const;
  const { seconds, efforts } = await plan(model, asked);
  const { quick, balanced, best } = efforts;
  t.true(quick < balanced / 2 && balanced < best, JSON.stringify(efforts));
  t.is(seconds, balanced);
  const settled = await plan(model, {
    ...{ ...asked, calibrationTokens: 8192, ffnSolver: 'output' },
    ...{ tuneTokens: 0, searchRounds: 2, effort: 'quick' },
  });
  t.is(settled.efforts.balanced, settled.seconds);
  t.is(settled.efforts.quick, settled.seconds);
});

test("a kept survey's metrics lie in scratch while blocks are solved, and in the journal", async (t) => {
  const model = work.model('llama2');
  const kept = { fromCalibration: work.path('any'), layerWeights: 'fisher' } as const;
  const plain = await plan(model, base(kept));
  const fisher = await plan(model, base({ ...kept, selection: 'fisher' }));
  const { hidden, blocks } = (await openCheckpoint(model)).architecture;
  const sites = 2 * blocks.length;
  const metrics = 4 * sites * hidden ** 2;
  t.is(fisher.scratch, plain.scratch + metrics);
  t.is(fisher.disk, plain.disk + metrics);
});

test('tuning is a stage of its own: its states lie in scratch, and what it came to in the journal', async (t) => {
  const model = work.model('llama2');
  const text = { calibration: CALIBRATION };
  const plain = await plan(model, base(text));
  const tuned = await plan(model, base({ ...text, tuneTokens: 40 * WINDOW }));
  const untimed = (stages: Plan['stages']) => stages.map((stage) => ({ ...stage, seconds: 0 }));
  t.deepEqual(untimed(tuned.stages.slice(0, -1)), untimed(plain.stages));
  const { stage, scratch, flops } = tuned.stages.at(-1)!;
  const { architecture } = await openCheckpoint(model);
  const { hidden, headDim, blocks } = architecture;
  // Ten of the mixed text beside them. Four windows are held out, and three at most train in a step.
  const states = 2 * 50 + 2 * 4 + (blocks.length + 3) * 3;
  t.deepEqual([stage, scratch], ['tune', 4 * hidden * WINDOW * states]);
  t.true(flops.single > 0);
  // Norms, columns of o and down, and the final norm.
  const factors = blocks.reduce(
    (sum, { ffn, heads }) => sum + 2 * hidden + ffn + heads * headDim,
    hidden,
  );
  // Of two steps: changes of rank 32 of all maps, and their moments.
  const changes = blocks.flatMap((_, block) =>
    blockTensors(architecture, block).flatMap(({ shape: [rows, cols] }) =>
      cols === undefined ? [] : [Math.min(32, rows!, cols) * (rows! + cols)],
    ),
  );
  const numbers = changes.reduce((sum, count) => sum + count);
  t.is(tuned.disk, plain.disk + 3 * 8 * factors + 2 * 3 * 4 * numbers);
});

test('a target in bytes counts the vocabulary of a GGUF file, as prune does', async (t) => {
  const model = work.model('llama2');
  const sized = base({ format: 'gguf', sparsity: undefined, targetSize: 1e9 });
  const planned = await t.throwsAsync(plan(model, sized), { code: 'ERR_ARGUMENT' });
  t.regex(planned.message, /would have [\d,]+ bytes in f16/);
  await t.throwsAsync(prune(model, sized), { message: planned.message });
});

test('the output that is planned: its format, and its dtype by default', async (t) => {
  const model = work.model('llama2');
  t.like(await plan(model, {}), { format: 'hf', dtype: 'f16' });
  const output = work.path('few.gguf');
  const few = await exportModel(model, { output, dtype: 'q4_0' });
  t.like(await plan(few.output, { output: 'x.gguf' }), { format: 'gguf', dtype: 'q4_0' });
  t.like(await plan(few.output, { output: 'x.gguf', multiple: 8 }), { dtype: 'f16' });
});

test('a plan reads no weights and no text, and refuses what prune refuses', async (t) => {
  const model = work.model('llama2');
  await t.notThrowsAsync(plan(model, { calibration: join(work.path('nothing'), 'text') }));
  await t.throwsAsync(plan(model, { window: 100_000 }), { code: 'ERR_ARGUMENT' });
  await t.throwsAsync(plan(model, { dtype: 'q8_0' }), { code: 'ERR_UNSUPPORTED' });
});

test('a refit of gate and up takes less the more of them goes', async (t) => {
  const model = work.model('llama2');
  const flops = async (more: Partial<PruneOptions>) => {
    const { stages } = await plan(model, base({ allocation: 'uniform', ...more }));
    const { single, searching } = stages.find(({ stage }) => stage === 'solve')!.flops;
    return single + searching;
  };
  const added = async (sparsity: number) =>
    (await flops({ sparsity })) - (await flops({ sparsity, ffnSolver: 'output' }));
  const [little, much] = [await added(0.1), await added(0.4)];
  t.true(much < 0.75 * little, `${little} and ${much}`);
});

test.serial('products are not measured again within a minute', async (t) => {
  const model = work.model('llama2');
  const { gemmRate, calibrationRate } = await plan(model, base({}));
  const again = await plan(model, base({ sparsity: 0.1 }));
  t.is(again.gemmRate, gemmRate);
  t.is(again.calibrationRate, calibrationRate);
  const other = await plan(model, base({ threads: 1 }));
  t.not(other.gemmRate, gemmRate);
});

/** Seconds of plans on so many threads may be compared: elsewhere products are measured anew after a minute, and a busy machine gives others. */
const STEADY = 3;
function steady(t: ExecutionContext): void {
  const native: NativeAddon = require(addonFile());
  const { measureGemm } = native;
  t.teardown(() => {
    native.measureGemm = measureGemm;
  });
  native.measureGemm = () => Promise.resolve(100);
}

test.serial(
  'ranks share the trials of a survey, and nothing where there is one batch of them',
  async (t) => {
    steady(t);
    const of = async (model: string, ranks: number) => {
      const options = { sparsity: 0.2, calibrationTokens: 4096, ranks, threads: STEADY };
      const planned = await plan(model, options);
      return { ...planned, alone: secondsOf(planned, 'survey') };
    };
    const tiny = join(__dirname, '../../assets/tiny');
    t.is((await of(tiny, 1)).ranks, null);
    const two = await of(tiny, 2);
    t.is(two.ranks!.count, 2);
    // Each runs the dense model over the text, so that half is not reached.
    t.true(two.ranks!.survey < 0.95 * two.alone && two.ranks!.survey > 0.5 * two.alone);
    t.true(Math.abs(two.ranks!.seconds - (two.seconds - two.alone + two.ranks!.survey)) < 1e-9);
    const few = await of(work.model('llama2'), 2);
    t.true(Math.abs(few.ranks!.survey - few.alone) < 1e-9 * few.alone);
  },
);

const secondsOf = ({ stages }: Plan, name: string) =>
  stages.find(({ stage }) => stage === name)!.seconds;

test.serial('ranks share the tokens of the solve by whole segments', async (t) => {
  steady(t);
  const tiny = join(__dirname, '../../assets/tiny');
  const of = (pages: number, ranks: number, more: PlanOptions = {}) =>
    plan(tiny, {
      ...{ sparsity: 0.2, calibrationTokens: 4096 * pages, threads: STEADY, ranks },
      ...more,
    });
  const [one, two, four] = [await of(16, 1), await of(16, 2), await of(16, 4)];
  t.is(one.ranks, null);
  t.true(two.ranks!.solve < 0.7 * secondsOf(two, 'solve'));
  t.true(
    four.ranks!.solve < two.ranks!.solve * (secondsOf(four, 'solve') / secondsOf(two, 'solve')),
  );
  // A rank between two others sends up and down.
  const sent = two.ranks!.sent[0]!;
  t.deepEqual(two.ranks!.sent, [sent, sent]);
  t.deepEqual(four.ranks!.sent, [sent, 2 * sent, 2 * sent, sent]);
  // What lies in memory of the tokens is a share of it; a rank that follows keeps a sum a segment.
  t.true(four.memory < one.memory);
  const page = await of(1, 2);
  t.true(Math.abs(page.ranks!.solve - secondsOf(page, 'solve')) < 1e-9 * page.ranks!.solve);
  const [fast, slow] = [await of(16, 4, { network: 1e4 }), await of(16, 4, { network: 1e-3 })];
  t.is(fast.ranks!.network, (2 * 8 * sent) / 1e13);
  t.true(fast.ranks!.sharesTokens);
  t.true(Math.abs(fast.ranks!.seconds - four.ranks!.seconds - fast.ranks!.network!) < 1e-9);
  // Where the network takes longer than the solve of one, as with Fisher metrics, rank 0 solves alone.
  t.false(slow.ranks!.sharesTokens);
  t.deepEqual([slow.ranks!.network, ...slow.ranks!.sent], [0, 0, 0, 0, 0]);
  t.true(Math.abs(slow.ranks!.solve - secondsOf(slow, 'solve')) < 1e-9 * slow.ranks!.solve);
  const fisher = await of(16, 2, { selection: 'fisher' });
  t.deepEqual(fisher.ranks!.sent, [0, 0]);
  t.true(Math.abs(fisher.ranks!.solve - secondsOf(fisher, 'solve')) < 1e-9 * fisher.ranks!.solve);
});

/** Qwen3-30B-A3B with two blocks and so many experts, as its headers would say. */
async function withExperts(count: number): Promise<ModelSource> {
  const { config } = SHAPES.find(({ name }) => name === 'qwen3-30b-a3b')!;
  const architecture = architectureFromConfig({ ...config, num_experts: count }, 'shape');
  const refOf = ({ shape }: { shape: number[] }): TensorRef => {
    const bytes = storageBytes('BF16', shape);
    return { name: 'one', file: 0, offset: 0, bytes, dtype: 'BF16', shape };
  };
  const blocks = architecture.blocks.map((_, block) =>
    Object.fromEntries(blockTensors(architecture, block).map((one) => [one.role, refOf(one)])),
  );
  const model = Object.fromEntries(
    Object.entries(modelShapes(architecture)).map(([role, shape]) => [role, refOf({ shape })]),
  );
  const opened = await openCheckpoint(work.model('qwen3-moe'));
  return { ...opened, architecture, blocks, model } as ModelSource;
}

for (const scope of ['experts', 'expert-channels', 'moe', 'attention'] as const) {
  test.serial(`the smallest budget has slope 0 over the number of experts: ${scope}`, async (t) => {
    const sparsity = scope === 'attention' ? 0.001 : 0.2;
    const more = { scope, allocation: 'uniform', sparsity, window: 512 } as const;
    const asked = base({ ...more, calibrationTokens: 4 * 512, ffnSolver: 'output' });
    const planned: { memory: number; smallestMemory: number }[] = [];
    const counts = [32, 256] as const;
    for (const count of counts) planned.push(await plan(await withExperts(count), asked));
    const [few, many] = planned as [(typeof planned)[0], (typeof planned)[0]];
    const slope = (of: 'memory' | 'smallestMemory') =>
      (many[of] - few[of]) / (counts[1] - counts[0]);
    // Of each there is a row of the router, and the curve of its errors.
    const expert = 3 * 768 * 2048 * 4;
    t.true(slope('smallestMemory') < 0.002 * expert, String(slope('smallestMemory')));
    t.true(slope('memory') > 0.9 * expert, 'without a budget all of a block are in memory');
  });
}
