/**
 * The smallest budget and none: the same bytes, whatever is asked for. ffn-solver.test.ts has the solvers of gate and up,
 * native/test the tiles, strips and pages of matrices that are larger than these. STRUPRUNE_LONG=1: more rows.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { long } from '../long';
import { hashesOf } from './files';
import { CALIBRATION_IDS, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 32;
// Two pages of hidden states.
const TOKENS = 136 * WINDOW;

function options(more: Partial<PruneOptions> = {}): PruneOptions {
  return {
    output: join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out'),
    calibration: CALIBRATION_IDS,
    calibrationTokens: TOKENS,
    tuneTokens: 0,
    surveyTokens: TOKENS,
    window: WINDOW,
    sparsity: 0.1,
    threads: 2,
    ...more,
  };
}

const ROWS: [model: string, more: Partial<PruneOptions>][] = [
  ['llama2', { scope: 'all', layerWeights: 'fisher', selection: 'fisher', allocation: 'energy' }],
  ['llama3', { mask: 'admm', ffnSolver: 'output', swaps: 2, layerWeights: 'output' }],
  ['opt-post', { scope: 'all', layerWeights: 'none', bias: 'add' }],
  ['qwen2', { sequential: false, allocation: 'uniform', format: 'gguf' }],
  ['llama3', { format: 'gguf', dtype: 'q4_0' }],
  ['llama2', { method: 'gisp', maxLayerSparsity: 0.3 }],
  ['qwen3-moe', { scope: 'expert-channels', sparsity: 0.2, sequential: false }],
  ['qwen3-moe', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.28 }],
  ['gpt-oss-mxfp4', { scope: 'moe', maxLayerSparsity: 0.5, sparsity: 0.5 }],
  ['lfm2', { scope: 'all' }],
  ['gpt-neox', { scope: 'all', alpha: 0.5, beta: 0.5 }],
  ['qwen3.5', { scope: 'all' }],
  ['llama2', { method: 'magnitude-l2', tuneTokens: 80 * WINDOW }],
  ...long<[model: string, more: Partial<PruneOptions>]>([
    ['llama3-tied', { method: 'osscar' }],
    ['gemma3', { method: 'gisp', maxLayerSparsity: 0.3 }],
    ['qwen2-moe', { scope: 'experts', sparsity: 0.2 }],
    ['llama2', { method: 'magnitude-l2', tuneTokens: 300 * WINDOW }],
    ['opt-pre', { method: 'flap' }],
    ['gpt-oss', { scope: 'experts', sparsity: 0.2 }],
    ['qwen3-moe', { scope: 'moe', allocation: 'threshold', maxLayerSparsity: 0.4, sparsity: 0.15 }],
    ['gpt-oss-mxfp4', { scope: 'attention', allocation: 'uniform', sparsity: 0.05 }],
    ['qwen3-next', { scope: 'experts', sparsity: 0.1 }],
    ['qwen3', { method: 'tyr-local', scope: 'all' }],
    ['mistral', { method: 'wanda-sp' }],
    ['qwen3-moe', { scope: 'attention', allocation: 'uniform', sparsity: 0.05 }],
    ['qwen3-moe', { scope: 'experts', sparsity: 0.2, sequential: false }],
    ['qwen2-moe', { scope: 'expert-channels', sparsity: 0.2 }],
    ['gpt-oss', { scope: 'moe', maxLayerSparsity: 0.4, sparsity: 0.35, sequential: false }],
    ['gpt-neox', { scope: 'all', layerWeights: 'fisher', sequential: false }],
    ['lfm2-moe', { scope: 'expert-channels', sparsity: 0.1 }],
  ]),
];
for (const [name, more] of ROWS) {
  test.serial(`${name}, ${JSON.stringify(more)}`, (t) => sameBytes(t, work.model(name), more));
}

test.serial(
  'sums in sixteen segments: the same bytes on any threads and in any budget',
  async (t) => {
    const model = work.model('llama3');
    const tokens = 17 * 4096;
    const more: Partial<PruneOptions> = {
      ...{ calibrationTokens: tokens, surveyTokens: tokens, ffnTokens: tokens },
      ...{ scope: 'all', layerWeights: 'fisher', selection: 'fisher' },
    };
    const first = await prune(model, options({ ...more, threads: 1 }));
    for (const threads of [4, ...long([2])]) {
      const asked = options({ ...more, threads });
      const { smallestMemory } = await plan(model, asked);
      const { output } = await prune(model, { ...asked, memory: smallestMemory });
      t.deepEqual(hashesOf(output), hashesOf(first.output), `${threads} threads`);
    }
  },
);

test.serial('a GGUF file goes in', async (t) => {
  const whole = options({ sparsity: 0, format: 'gguf', allocation: 'uniform', bias: 'keep' });
  const { output } = await prune(work.model('llama2'), { ...whole, calibrationTokens: WINDOW });
  await sameBytes(t, output, { scope: 'all' });
});

async function sameBytes(t: ExecutionContext, model: string, more: Partial<PruneOptions>) {
  const free = await prune(model, options(more));
  const { smallestMemory, reserve } = await plan(model, options(more));
  const tight = await prune(model, options({ ...more, memory: smallestMemory }));
  t.true(tight.scratchTraffic.read > 0, 'pages left memory and came back');
  t.true(tight.peakBudgetBytes <= smallestMemory - reserve);
  t.deepEqual(hashesOf(tight.output), hashesOf(free.output));
}
