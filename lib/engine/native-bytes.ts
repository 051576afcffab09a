/**
 * What each call of the native side charges to its memory budget, in bytes: the mirror of the Allocate() calls
 * under native/. One function a call; test/engine/plan.test.ts compares their sum with the budget's own peak.
 */
import type { Architecture } from '../model/architecture';
import { blockRoles, blockShape, elements } from '../model/axes';
import type { Site } from './native';

const FLOAT = 4;
const DOUBLE = 8;

// Constants of the same meaning as in native/.
const FLIGHT_TOKENS = 4096; // forward.h
const CHUNK = 512; // forward_steps.h
const ENDS_CHUNK = 256; // ends.cpp
const ENDS_FLIGHT = 2048;
const SCORE_ROWS = 8192;
const LOGIT_COLUMNS = 1024;
const VOCABULARY_TILE = 4096; // ends.h
const HEAD_ROWS = 2048; // head_gradient.cpp
const COMPARE_ROWS = 8192; // compare.cpp
const GRAM_TILE = 256; // statistics.cpp
const CURVE_TILE = 64; // sweep_curve.cpp
const BATCH = 64; // sweep.h

/** Who shares the work, on what model. */
export interface Ground {
  architecture: Architecture;
  threads: number;
  window: number;
}

/** Hidden states as a job sees them: in scratch, pages of them are in memory while it runs. */
export interface States {
  rows: number;
  paged: boolean;
}

/** Tokens of a flight: whole windows. */
export function flightTokens(window: number, rows: number): number {
  return Math.min(rows, Math.max(1, Math.floor(FLIGHT_TOKENS / window)) * window);
}

/** Columns of a site's output map. */
export function siteWidth({ blocks, headDim }: Architecture, block: number, site: Site): number {
  const { ffn, heads } = blocks[block]!;
  return site === 'ffn' ? ffn : heads * headDim;
}

/** A loaded block. */
export function blockBytes({ architecture }: Ground, block: number): number {
  const sizes = blockRoles(architecture).map((role) =>
    elements(blockShape(architecture, block, role)),
  );
  return FLOAT * sizes.reduce((sum, size) => sum + size, 0);
}

/** runSite, with what it needs beside block, states and statistics. */
export function runSiteBytes(
  { architecture, threads, window }: Ground,
  block: number,
  site: Site,
  { rows, paged }: States,
  { collects, feedback = false }: { collects: boolean; feedback?: boolean },
): number {
  const { hidden, headDim, gated, blocks } = architecture;
  const flight = flightTokens(window, rows);
  const chunks = threads * CHUNK;
  const width = siteWidth(architecture, block, site);
  let floats = chunks * hidden;
  if (site === 'attention') floats += flight * 2 * (width + blocks[block]!.kvHeads * headDim);
  else floats += (collects ? flight : chunks) * width + (gated ? chunks * width : 0);
  // Residuals, and views of both dense states.
  if (feedback) floats += flight * hidden * (paged ? 3 : 1);
  if (paged) floats += flight * hidden;
  return FLOAT * floats;
}

/** applySite on activations that lie in scratch. */
export function applySiteBytes(
  { architecture, threads }: Ground,
  block: number,
  site: Site,
  { rows, paged }: States,
): number {
  const width = siteWidth(architecture, block, site);
  const flight = Math.min(FLIGHT_TOKENS, rows);
  const gathered = threads * CHUNK * width;
  return FLOAT * (gathered + flight * (width + (paged ? architecture.hidden : 0)));
}

/** Sums of a site's input. */
export function statisticsBytes(
  { threads }: Ground,
  width: number,
  gram: boolean,
  residual = 0,
): number {
  const sums = (gram ? width * width : 0) + 2 * width + residual * (width + 1);
  return DOUBLE * sums + FLOAT * threads * GRAM_TILE * GRAM_TILE;
}

export function statesBytes({ architecture }: Ground, rows: number): number {
  return FLOAT * rows * architecture.hidden;
}

export function embedBytes({ architecture, threads, window }: Ground, states: States): number {
  const { hidden, embeddingProjection, positionOffset } = architecture;
  const width = embeddingProjection ?? hidden;
  const view = states.paged ? Math.min(ENDS_FLIGHT, states.rows) * hidden : 0;
  return (
    FLOAT *
    ((embeddingProjection ? hidden * width : 0) +
      (positionOffset === null ? 0 : window * hidden) +
      threads * ENDS_CHUNK * width +
      view)
  );
}

/** Final norm and projection as the head holds them. */
function headInput({ hidden, finalNorm, norm, embeddingProjection }: Architecture): number {
  const norms = finalNorm ? hidden * (norm.kind === 'layer' ? 2 : 1) : 0;
  return norms + (embeddingProjection ? hidden * embeddingProjection : 0);
}

function vocabularyTile({ vocab, hidden, embeddingProjection }: Architecture): number {
  return Math.min(VOCABULARY_TILE, vocab) * (embeddingProjection ?? hidden);
}

/** score: the states' pages and a tile of the vocabulary are not in memory at the same time. */
export function scoreBytes({ architecture, threads }: Ground, { rows, paged }: States): number {
  const { hidden, embeddingProjection } = architecture;
  const flight = Math.min(rows, SCORE_ROWS);
  const workers = threads * ENDS_CHUNK * (LOGIT_COLUMNS + hidden);
  const fixed = headInput(architecture) + flight * (embeddingProjection ?? hidden) + workers;
  return FLOAT * (fixed + Math.max(paged ? flight * hidden : 0, vocabularyTile(architecture)));
}

/** compare: two models' states in scratch, one architecture. */
export function compareBytes({ architecture, threads }: Ground, tokens: number): number {
  const { hidden, embeddingProjection } = architecture;
  const rows = Math.min(COMPARE_ROWS, tokens);
  const workers = threads * ENDS_CHUNK * (LOGIT_COLUMNS + hidden);
  const side =
    headInput(architecture) +
    rows * (embeddingProjection ?? hidden) +
    workers +
    vocabularyTile(architecture);
  return FLOAT * (2 * side + threads * LOGIT_COLUMNS + rows * hidden);
}

/** headGradient on states and gradients in scratch. */
export function headGradientBytes({ architecture, threads }: Ground, tokens: number): number {
  const { hidden, embeddingProjection } = architecture;
  const width = embeddingProjection ?? hidden;
  const rows = Math.min(HEAD_ROWS, tokens);
  const workers = threads * (CHUNK * (hidden + LOGIT_COLUMNS) + width);
  const views = 2 * rows * hidden;
  const backward =
    (architecture.finalNorm ? hidden : 0) + (embeddingProjection ? hidden * width : 0);
  return (
    FLOAT *
    (headInput(architecture) +
      backward +
      2 * rows * width +
      workers +
      views +
      vocabularyTile(architecture))
  );
}

/** backwardBlock on inputs and gradients in scratch, with the statistics of both sites. */
export function backwardBytes(
  { architecture, threads, window }: Ground,
  block: number,
  tokens: number,
): number {
  const { hidden, headDim, qkNorm, gated, norm, blocks } = architecture;
  const { heads, kvHeads, ffn } = blocks[block]!;
  const flight = flightTokens(window, tokens);
  const chunk = threads * CHUNK;
  const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
  let floats = flight * (4 * (width + kvWidth) + heads);
  if (qkNorm) floats += flight * (width + kvWidth) + chunk * Math.max(width, kvWidth);
  floats += chunk * (3 * hidden + (gated ? 3 : 2) * ffn);
  if (norm.placement === 'post') floats += flight * hidden;
  return FLOAT * (floats + 2 * flight * hidden);
}

/** A site's problem: columns of its output map, its rows, and what else it knows. */
export interface Problem {
  inputs: number;
  outputs: number;
  /** Columns of a group. */
  group: number;
  /** Feedback: the target differs from the map's own output. */
  cross: boolean;
  /** Solved in the Fisher metric. */
  fisher: boolean;
}

/** createSolver: what measuring the target takes for a moment. */
export function targetBytes({ inputs, outputs, fisher }: Problem): number {
  return DOUBLE * outputs * inputs * (fisher ? 3 : 2);
}

/**
 * sweep over at most `removed` columns: the state P and Q, then the exact curve. `mixed`: the curve is measured in
 * another metric than the order.
 */
export function sweepBytes(
  { threads }: Ground,
  { inputs: n, outputs: d, group, cross }: Problem,
  removed: number,
  mixed: boolean,
): number {
  const square = n * n;
  const state = 2 * square + 3 * d * n;
  const batch = Math.min(BATCH, removed);
  const removal =
    group === 1
      ? 2 * square + 2 * BATCH * n + 4 * batch * Math.max(0, n - batch)
      : 2 * square + 3 * group * n + 2 * group * group * threads;
  const shift = cross ? d * n : 0;
  const steps = d * removed;
  const corner = square + shift + 2 * steps + removed * removed;
  const tiles = threads * CURVE_TILE * (removed + n);
  const curve = square + shift + 2 * steps + removed * n + Math.max(mixed ? steps : 0, tiles);
  const dense = cross ? square + 3 * d * n + steps + removed * n : 0;
  return DOUBLE * Math.max(state, removal, corner, curve, dense);
}

/** refit on `kept` columns. */
export function refitBytes({ inputs: n, outputs: d }: Problem, kept: number): number {
  const removed = n - kept;
  const solving = kept * kept + d * kept + d * removed + removed * kept;
  // Solution, kept weights in both precisions; then the change, weighed and multiplied by the Gram.
  const measuring = kept * kept + 2.5 * d * kept + Math.max(d * kept + d * n, 3 * d * n);
  return DOUBLE * Math.max(solving, measuring);
}

/** slice, without a refit. */
export function sliceBytes({ inputs: n, outputs: d }: Problem, kept: number): number {
  return DOUBLE * (0.5 * d * kept + Math.max(d * kept + d * n, 3 * d * n));
}

/** admm: matrix and factor, four arrays of the map's size. */
export function admmBytes({ inputs: n, outputs: d }: Problem): number {
  return DOUBLE * (2 * n * n + 4 * d * n);
}

/** swap on `kept` columns: the tableau, and what it is made of or measured by. */
export function swapBytes({ inputs: n, outputs: d }: Problem, kept: number): number {
  const removed = n - kept;
  const tableau = 2 * n * n;
  const solution = kept * kept + d * kept;
  const making =
    d * n + removed * removed + kept * removed + Math.max(2 * d * removed, kept * removed);
  const weighing = 2 * d * n;
  const measuring = Math.max(d * removed + removed * kept, 3 * d * n);
  return DOUBLE * (tableau + solution + Math.max(making, weighing, measuring));
}
