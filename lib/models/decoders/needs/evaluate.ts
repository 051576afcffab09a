/** What evaluations need: before and after, the check of the output, samples. The last window is always measured. */

import {
  inTurn,
  type Needs,
  type NeedsOf,
  NOTHING,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import { batchTokens } from '../../../measure/perplexity';
import { measuringTokens } from '../../../pruning/texts';
import { eachBlock, needsOf, type PlanInput, type StageNeeds, throughBlocks } from './stage';

export function evaluateNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { evaluation, engine, architecture, window } = input;
  const ask = needsOf(input, paged);
  const onGpu = engine.device !== 'cpu';
  const calibrates = input.gather.statistics !== 'none';
  const calibrated = calibrates ? Math.min(input.tokens, measuringTokens(window)) : 0;
  const runs = [
    { tokens: window, window, times: 1 },
    ...(calibrated === 0 ? [] : [{ tokens: calibrated, window, times: 2 }]),
    ...(evaluation ? [{ ...evaluation, times: 2 }] : []),
  ].map((run) => ({
    ...run,
    rows: Math.min(run.tokens, batchTokens(architecture, run.window, onGpu)),
  }));
  const passes = runs.map(({ tokens, window, rows, times: count }) =>
    times((count * tokens) / rows, forward(input, ask, { rows, window, paged })),
  );
  const block = needsOf(input, false);
  const largest = eachBlock(input, (index) => block.block(index)).memory;
  const states = Math.max(
    ...runs.map(({ rows }) => together(ask.states(rows), ask.blockInput(rows)).memory),
  );
  return {
    // The strips that do not fit into memory are some of the block's, which counts as a whole.
    needs: { ...inTurn(...passes), scratch: 0 },
    scratch: paged ? largest + states : 0,
    paged: paged ? ['hidden states', 'weights of the block at hand'] : [],
  };
}

/** Embedding, blocks and head, one after the other. */
function forward(input: PlanInput, ask: NeedsOf, tokens: Tokens): Needs {
  return together(
    tokens.paged ? NOTHING : ask.states(tokens.rows),
    inTurn(ask.ends('embed', tokens), throughBlocks(input, ask, tokens), ask.ends('score', tokens)),
  );
}
