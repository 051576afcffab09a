/** What tuning needs: the dense model's predictions, steps forward and back, and what they came to. */

import {
  inTurn,
  type Needs,
  type NeedsOf,
  NOTHING,
  type StatisticsSizes,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import { embeddingWidth } from '../../../model/axes';
import { STEPS } from '../../../tuning/train';
import {
  eachBlock,
  inScratch,
  needsOf,
  type PlanInput,
  type StageNeeds,
  throughBlocks,
} from './stage';

/** The states always go to scratch. */
export function tuneNeeds(input: PlanInput, paged: boolean): StageNeeds {
  const { architecture, window, tuning } = input;
  const { hidden, blocks } = architecture;
  const { train, heldOut } = tuning!;
  const ask = needsOf(input, paged);
  const tokens = (windows: number) => inScratch(windows * window, window);
  const text = tokens(train + heldOut);
  const exam = tokens(heldOut);
  const lesson = tokens(Math.ceil(train / STEPS));
  const check = tokens(1);
  const needs = inTurn(
    forward(input, ask, text),
    ask.ends('expectHead', text),
    ask.copyStates(text),
    measured(input, ask, [exam], check),
    times(STEPS, step(input, ask, lesson)),
    measured(input, ask, [exam, lesson], check),
  );
  // Predictions of the text, of the windows held out and of a step's, with the states of one of them; for a step also the
  // states before every block and after the last one, and gradients.
  const rows = 2 * text.rows + 2 * exam.rows + (blocks.length + 3) * lesson.rows;
  return {
    needs,
    scratch: together(
      ask.matrix(rows, Math.max(hidden, embeddingWidth(architecture))),
      ask.blockInput(text.rows),
    ).memory,
    paged: ['hidden states', 'gradients', 'predictions', 'weights of the block at hand'],
  };
}

function forward(input: PlanInput, ask: NeedsOf, tokens: Tokens): Needs {
  return inTurn(ask.ends('embed', tokens), throughBlocks(input, ask, tokens));
}

function measured(input: PlanInput, ask: NeedsOf, lessons: Tokens[], check: Tokens): Needs {
  return inTurn(
    ...[...lessons, check].map((tokens) => forward(input, ask, tokens)),
    ask.ends('score', check),
    ...lessons.map((tokens) => ask.ends('divergenceFrom', tokens)),
  );
}

function step(input: PlanInput, ask: NeedsOf, lesson: Tokens): Needs {
  const { factors, changes } = input.tuned;
  const { finalNorm } = factors;
  const norm = finalNorm ? ask.statistics(finalNorm.count, { gram: false }) : NOTHING;
  const sumsOf = (block: number) => [
    ...(factors.blocks[block] ?? []).map(({ count }) => sums(count)),
    ...(changes[block] ?? []).flatMap(({ rows, cols, rank }) => [
      sums(rank, rows),
      sums(cols, rank),
    ]),
  ];
  const rank = Math.max(0, ...changes.flat().map(({ rank }) => rank));
  return inTurn(
    forward(input, ask, lesson),
    ask.copyStates(lesson),
    together(norm, ask.ends('divergenceGradient', lesson)),
    eachBlock(input, (block) =>
      together(
        ask.block(block),
        ask.backward(block, lesson, sumsOf(block), { factors: 'all', rank }),
      ),
    ),
  );
}

function sums(dim: number, residual = 0): StatisticsSizes {
  return { dim, gram: false, residual };
}
