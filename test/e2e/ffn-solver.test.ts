/** Gate and up refitted too, from the text to the file: what it is for, and that the file has it. STRUPRUNE_LONG=1: more rows. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openGguf } from '../../lib/checkpoint/gguf-model';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { exportModel } from '../../lib/export-model';
import type { ModelSource } from '../../lib/model/architecture';
import { type PruneOptions, settingsOf } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { resolve } from '../../lib/spec';
import { long } from '../long';
import { hashesOf } from './files';
import { CALIBRATION, EVALUATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const ASSETS = join(__dirname, '../../assets');

function options(more: Partial<PruneOptions> = {}): PruneOptions {
  return {
    output: work.path('out'),
    calibration: CALIBRATION,
    calibrationTokens: 2048,
    tuneTokens: 0,
    sparsity: 0.3,
    allocation: 'uniform',
    // Feedback asks for what no FFN can give, which hides what the solvers do.
    alpha: 0,
    beta: 0,
    eval: EVALUATION,
    evalTokens: 2048,
    threads: 2,
    ...more,
  };
}

const SOLVERS = [
  { ffnSolver: 'gauss-newton', gaussNewtonRounds: 2 },
  { ffnSolver: 'auxiliary', auxiliaryIterations: 2 },
] as const;
// Gated SiLU, and ReLU with biases.
const CASES = ['tiny', 'tiny-opt'].flatMap((name) => SOLVERS.map((more) => ({ name, more })));

const plainRuns = new Map<string, Promise<PruneResult>>();

/** Without a refit of gate and up, once a model. */
function plainRun(name: string): Promise<PruneResult> {
  const known = plainRuns.get(name);
  if (known) return known;
  const run = prune(join(ASSETS, name), options({ ffnSolver: 'output' }));
  plainRuns.set(name, run);
  return run;
}

for (const { name, more } of CASES) {
  test.serial(`${name}: ${more.ffnSolver} lowers every error, and the perplexity`, async (t) => {
    const model = join(ASSETS, name);
    const plain = await plainRun(name);
    for (const { inputRefit } of plain.layerStats) t.is(inputRefit, null);
    const refitted = await prune(model, options(more));
    for (const { index, relativeError, inputRefit } of refitted.layerStats) {
      t.is(inputRefit!.rounds, 2, `block ${index}`);
      t.true(relativeError! < 0.98 * inputRefit!.before, `block ${index}`);
    }
    t.true(refitted.perplexityAfter! < plain.perplexityAfter!);
    // The masks of the first block see the same inputs.
    t.is(refitted.layers[0]!.keptFfnSha256, plain.layers[0]!.keptFfnSha256);
    const { expected, actual } = refitted.verification;
    t.true(Math.abs(actual - expected) < 1e-4);
  });
}

// The gated model's auxiliary variables fit into what the passes over tokens take.
for (const { name, more } of [...CASES.slice(2), ...long(CASES.slice(0, 1))]) {
  test.serial(
    `${name}: ${more.ffnSolver} gives the same bytes under the smallest budget`,
    async (t) => {
      const model = join(ASSETS, name);
      // More than fit beside the rest.
      const tokens = { calibrationTokens: 4096, eval: undefined };
      const settings = options({ ...more, ...tokens, force: true, alpha: 0.5, beta: 0.5 });
      const weights = () => hashesOf(settings.output)['model.safetensors'];
      await prune(model, settings);
      const expected = weights();
      const { smallestMemory, reserve } = await plan(model, settings);
      const tight = await prune(model, { ...settings, memory: smallestMemory });
      t.true(tight.scratchTraffic.read > 0, 'pages left memory and came back');
      t.true(tight.peakBudgetBytes <= smallestMemory - reserve);
      t.is(weights(), expected);
    },
  );
}

test('by default gate and up are refitted where that is possible and worth it', async (t) => {
  const given = { output: work.path('out'), calibration: CALIBRATION, sparsity: 0.2 };
  const tiny = await openCheckpoint(join(ASSETS, 'tiny'));
  const solver = (more: Partial<PruneOptions>, source: ModelSource = tiny) => {
    const { settings, output } = resolve(source, settingsOf({ ...given, ...more }));
    return [
      settings.ffnSolver,
      output.notes.filter((note) => note.includes('--ffn-solver')).length,
    ];
  };
  t.deepEqual(solver({}), ['gauss-newton', 0]);
  for (const ffnSolver of ['output', 'auxiliary'] as const) {
    t.deepEqual(solver({ ffnSolver }), [ffnSolver, 0]);
  }
  for (const more of [{ refit: false }, { scope: 'attention' }, { method: 'flap' }] as const) {
    t.deepEqual(solver({ sparsity: 0.1, ...more }), ['output', 0], JSON.stringify(more));
  }
  // Gate and up of a quantised source stay byte for byte.
  const { output } = await exportModel(tiny, { output: work.path('tiny.gguf'), dtype: 'q8_0' });
  const quantised = await openGguf(output);
  const kept = { format: 'gguf', output: work.path('pruned.gguf') } as const;
  t.deepEqual(solver(kept, quantised), ['output', 1]);
  t.deepEqual(solver({ ...kept, refit: false }, quantised), ['output', 0]);
  const dtype = 'f16';
  t.deepEqual(solver({ output: work.path('f16.gguf'), dtype }, quantised), ['gauss-newton', 0]);
  t.deepEqual(solver({}, quantised), ['gauss-newton', 0]);
});

test.serial('a budget that is too small for it names the solver that it is not', async (t) => {
  const settings = options({ calibrationTokens: 4096, eval: undefined, force: true });
  const model = join(ASSETS, 'tiny');
  const { smallestMemory } = await plan(model, settings);
  const output = await plan(model, { ...settings, ffnSolver: 'output' });
  t.true(output.smallestMemory < smallestMemory);
  const prunes = (memory: number) => prune(model, { ...settings, memory });
  const between = await t.throwsAsync(prunes(output.smallestMemory), { code: 'ERR_BUDGET' });
  t.regex(between.message, /or choose ffnSolver output$/);
  const below = await t.throwsAsync(prunes(output.smallestMemory - 1), { code: 'ERR_BUDGET' });
  t.regex(below.message, /or give fewer threads/);
});

test.serial('a solver that refits is not combined with --no-refit', async (t) => {
  const settings = options({ ffnSolver: 'gauss-newton', refit: false });
  await t.throwsAsync(prune(join(ASSETS, 'tiny'), settings), { code: 'ERR_ARGUMENT' });
  t.false(existsSync(settings.output));
});
