/** What writing needs: of memory for the tensors of a block on their way to a file, and of the disk. */
import { storageBytes } from '../../../checkpoint/container';
import type { Needs, NeedsOf } from '../../../engine/needs';
import type { Dtype } from '../../../model/architecture';
import { elements, modelShapes } from '../../../model/axes';
import { MXFP4_BLOCK } from '../../../model/bind';
import { totalParameters } from '../../../model/groups';
import { type Layer, widthOf } from '../../../spec/widths';
import { countOf } from '../../../tuning/changes';
import { ENCODE_BYTES } from '../encode';
import { keptMetrics, type PlanInput } from './stage';

/** Arrays of SiteStatistics, a number a column each. */
const COLUMN_STATISTICS = 4;
/** Arrays of a TuneState, a number a factor each; and of a ChangeState, of two steps. */
const TUNE_STATE = 3;
const CHANGE_STATES = 2 * 3;

export function encodeNeeds(ask: NeedsOf, block: number): Needs {
  return ask.encode(block, ENCODE_BYTES);
}

/**
 * Bytes beside the output: the journal with its survey and what tuning came to, and the output, for a while both. An upper
 * bound: nothing removed.
 */
export function diskBytes(input: PlanInput): number {
  const kept = keptNumbers(input);
  const bytesOf = (numbers: number) => Float64Array.BYTES_PER_ELEMENT * numbers;
  const survey = bytesOf(kept.curves + kept.statistics) + keptMetrics(input);
  const tuning = bytesOf(TUNE_STATE * kept.factors) + changeBytes(input);
  if (!input.surveyOnly) return 2 * outputBytes(input) + input.copied + survey + tuning;
  return input.saves ? survey : 0;
}

/** Numbers of what lasts as long as the run: see keptReserve. */
export function keptNumbers(input: PlanInput) {
  const { layers, survey, tokens, tuning, window, tuned } = input;
  const sum = (of: (layer: Layer) => number) =>
    layers.reduce((total, layer) => total + of(layer), 0);
  const { needed, curves } = survey;
  return {
    // Windows that train stand once more beside those of the mixed text.
    tokens: tokens + (tuning ? (2 * tuning.train + tuning.heldOut) * window : 0),
    factors: tuning ? tuned.factors.count : 0,
    changes: tuning ? Math.max(0, ...tuned.changes.map(countOf)) : 0,
    groups: sum(({ groups }) => groups),
    curves: needed ? sum(({ groups }) => groups + 1) : 0,
    statistics:
      needed && curves !== 'sweep' ? sum((layer) => COLUMN_STATISTICS * widthOf(layer)) : 0,
  };
}

/** Of all blocks' changes of low rank in the journal. */
function changeBytes({ tuned, tuning }: PlanInput): number {
  if (!tuning) return 0;
  const numbers = tuned.changes.reduce((sum, places) => sum + countOf(places), 0);
  return CHANGE_STATES * Float32Array.BYTES_PER_ELEMENT * numbers;
}

/** Of the dense model in the output's dtypes, in runs of 32, the storage block of the narrowest. */
function outputBytes({ architecture, stored, source }: PlanInput): number {
  const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
  const ends = sum(Object.values(modelShapes(architecture)).map(elements));
  const bytesOf = (count: number, dtype: Dtype) =>
    Math.ceil(count / 32) * storageBytes(dtype, [32]);
  const asSource = source.blocks.flatMap((refs) =>
    stored.asSource.flatMap((role) => refs[role] ?? []),
  );
  const inside =
    totalParameters(architecture) - ends - sum(asSource.map(({ shape }) => elements(shape)));
  return (
    (stored.ends
      ? bytesOf(ends, stored.ends)
      : sum(Object.values(source.model).map((ref) => ref.bytes))) +
    sum(
      asSource.map(
        ({ dtype, shape, bytes }) =>
          bytes + (dtype === 'F4_E2M1' ? elements(shape) / MXFP4_BLOCK : 0),
      ),
    ) +
    bytesOf(inside, stored.matrices)
  );
}
