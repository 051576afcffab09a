/** What passes over experts need: of the dense survey and of the solve. */

import {
  inTurn,
  type Needs,
  type NeedsOf,
  NOTHING,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import { outerSite } from '../../../model/sublayers';
import { type Layer, widthOf } from '../../../spec/widths';
import { EXPERT_ROUNDS } from '../expert-refit';
import { expertColumns } from '../experts';
import type { PlanInput } from './stage';

/** So many passes over the states that measure experts. `residual`: with what is missing of the output. */
export function trialsNeeds(
  ask: NeedsOf,
  { block, site, groups }: Layer,
  passes: number,
  states: Tokens,
  residual: boolean,
): Needs {
  return together(
    ask.statistics(expertColumns(groups), { gram: false }),
    times(passes, ask.sumExperts(block, site, states, residual)),
  );
}

/** The turns of the experts that stay in their refit. */
export function expertRefitNeeds(
  { architecture }: PlanInput,
  ask: NeedsOf,
  { block, site, groups }: Layer,
  gone: number,
  states: Tokens,
): Needs {
  const { hidden, blocks } = architecture;
  const left = groups - gone;
  const width = blocks[block]!.ffn;
  const map = { inputs: width, outputs: hidden, group: 1, cross: true, fisher: false };
  const turn = together(
    ask.statistics(width, { gram: true, residual: hidden }),
    inTurn(
      ask.turnExpert(block, site, states, { left, gram: true, residual: true }),
      ask.solver('createSolver', map),
      ask.refit(map, width),
    ),
  );
  return times(EXPERT_ROUNDS * left, turn);
}

/** The turn of an expert, `left` of which there are, whose channels are summed; with a Gram matrix it is solved. */
export function channelTurnNeeds(
  ask: NeedsOf,
  layer: Layer,
  left: number,
  states: Tokens,
  { gram, solve }: { gram: boolean; solve: () => Needs },
): Needs {
  return together(
    ask.statistics(widthOf(layer), { gram }),
    inTurn(
      ask.turnExpert(layer.block, outerSite(layer.site), states, { left, gram, residual: false }),
      gram ? solve() : NOTHING,
    ),
  );
}
