/** What the stages of a run need: the input of all of them, and what each answers. */

import type { Engine } from '../../../engine/engine';
import {
  inTurn,
  type Needs,
  NeedsOf,
  type ProblemSizes,
  type Tokens,
  times,
  together,
} from '../../../engine/needs';
import type { Team } from '../../../engine/team';
import type { Architecture, Stored } from '../../../model/architecture';
import type { Site } from '../../../model/sublayers';
import type { TuneWindows } from '../../../pruning/texts';
import type { RunSpec } from '../../../spec';
import { type Layer, layerAt, widthOf } from '../../../spec/widths';
import type { TunedPlaces } from '../../../tuning/tuning';

export interface PlanInput
  extends Pick<
    RunSpec,
    | 'source'
    | 'layers'
    | 'window'
    | 'survey'
    | 'depth'
    | 'search'
    | 'confidence'
    | 'gather'
    | 'mask'
    | 'refit'
  > {
  engine: Engine;
  architecture: Architecture;
  /** What the output holds. */
  stored: Stored;
  /** Groups that go from each layer where all give the same share: a guess, but for work. */
  evenly: Int32Array;
  /** Groups that will go from each layer; null as long as a survey decides. */
  removed: Int32Array | null;
  /** Calibration tokens, whole windows. */
  tokens: number;
  /** Of the text that tunes; null: nothing is tuned. */
  tuning: TuneWindows | null;
  /** Of the output if nothing were removed. */
  tuned: TunedPlaces;
  /** Bytes of it that go as the source has them. */
  copied: number;
  /** Evaluation tokens and their window; null without one. */
  evaluation: { tokens: number; window: number } | null;
  /** Whether the survey is kept in a file of its own. */
  saves: boolean;
  /** One of several that share trials and tokens; left out where there is one. */
  rank?: Pick<Team, 'rank' | 'size'> & { sharesTokens: boolean };
  /** It makes nothing else, as survey(). */
  surveyOnly?: boolean;
}

export interface StageNeeds {
  needs: Needs;
  /** Bytes in scratch files at the same time, beside what `needs` says of. */
  scratch: number;
  /** What lies there. */
  paged: string[];
}

export function needsOf({ engine, source, stored }: PlanInput, paged: boolean): NeedsOf {
  return new NeedsOf(engine, source, stored.matrices, paged);
}

/** Of all blocks, one after the other; those of the same widths and removals need the same. */
export function eachBlock(
  { architecture, layers, removed }: PlanInput,
  of: (block: number) => Needs,
): Needs {
  const alike = new Map<string, number[]>();
  for (const [block, widths] of architecture.blocks.entries()) {
    const { ffn, experts, heads, kvHeads, mixer } = widths;
    const gone = layers.flatMap((layer, l) => (layer.block === block ? (removed?.[l] ?? -1) : []));
    const key = [ffn, experts, heads, kvHeads, mixer, ...gone].join();
    alike.set(key, [...(alike.get(key) ?? []), block]);
  }
  return inTurn(...[...alike.values()].map((blocks) => times(blocks.length, of(blocks[0]!))));
}

/** Tokens' way through all of them. */
export function throughBlocks(input: PlanInput, ask: NeedsOf, tokens: Tokens): Needs {
  return eachBlock(input, (block) => together(ask.block(block), ask.sites(block, tokens)));
}

/** Place of a site among the layers; null: out of scope. */
export function layerOf({ layers }: PlanInput, block: number, site: Site): number | null {
  const at = layerAt(layers, block, site);
  return at === -1 ? null : at;
}

export function problemOf(
  { hidden }: Architecture,
  layer: Layer,
  { cross, fisher }: Pick<ProblemSizes, 'cross' | 'fisher'>,
): ProblemSizes {
  return { inputs: widthOf(layer), outputs: hidden, group: layer.groupSize, cross, fisher };
}

/** Fisher metrics of all layers, where the solve reads them too. */
export function keptMetrics(input: PlanInput): number {
  const { survey, layers, architecture } = input;
  if (!survey.needed || survey.curves !== 'sweep' || survey.selection !== 'fisher') return 0;
  const { hidden } = architecture;
  return needsOf(input, false).matrix(layers.length * hidden, hidden).memory;
}

export function inScratch(rows: number, window: number): Tokens {
  return { rows, window, paged: true };
}
