/**
 * What each call of the native side charges to its memory budget, in bytes: the mirror of the Allocate() calls
 * under native/. One function a call; test/engine/plan.test.ts compares their sum with the budget's own peak.
 */
import type { Architecture, Dtype } from '../model/architecture';
import { blockRoles, blockShape, elements, embeddingWidth } from '../model/axes';
import type { GpuNeeds } from './gpu-needs';
import type { Site } from './native';
import { DOUBLE, FLOAT, full, half, TILE_SIDE, tilesBytes } from './tile-bytes';

// Constants of the same meaning as in native/.
const PAGE_TOKENS = 4096; // paged_matrix.h
const CHUNK = 512; // row_chunks.h
const LEAST_CHUNK = 128;
const ENDS_CHUNK = 256; // ends.h
/** Tokens that score takes at a time at most. */
export const SCORE_ROWS = 8192; // ends.cpp, run_head.cpp
const LOGIT_COLUMNS = 1024;
const VOCABULARY_TILE = 4096; // ends.h
const HEAD_ROWS = 2048; // head_gradient.cpp, expected_rows.h
const BACKWARD_TOKENS = 2048; // backward.cpp
const SUM_ROWS = 256; // host_pages.h
const PINNED_UNIT = 256; // arena.h
const WEIGHT_FLOATS = 2 ** 20; // streams.h
const STRIP_FLOATS = 2 ** 20; // block.h
const STRIP_ROWS = 256;
/** Floats that are encoded at a time (lib/pruning/encode.ts), in bytes. */
export const ENCODE_BYTES = 4 * 2 ** 20;

/** Who shares the work, on what model. */
export interface Ground {
  architecture: Architecture;
  threads: number;
  window: number;
  /** Where sites and the head run; null = on the CPU. */
  gpu: GpuNeeds | null;
  /** What the output has the blocks' matrices in. */
  stored: Dtype;
  /** Of tiled matrices and of blocks only the tiles and strips at hand are in memory. */
  tiled?: boolean;
}

/** What a site hands out beside the states that it takes on. */
export interface Sinks {
  /** Sums of the output map's input, and its Gram matrix. */
  collects: boolean;
  gram?: boolean;
  /** Residuals against dense states. */
  feedback?: boolean;
  /** What a solver of the FFN's input weights works on; `ffnTokensBytes` has what it takes. */
  inputs?: boolean;
}

/** Hidden states as a job sees them: in memory, or with only the pages at hand there. */
export interface States {
  rows: number;
  paged: boolean;
}

/** Rows of a page of tokens: whole windows. */
export function pageRows(window: number): number {
  return Math.max(1, Math.floor(PAGE_TOKENS / window)) * window;
}

/** Tokens of a flight: a page. */
function flightTokens(window: number, rows: number): number {
  return Math.min(rows, pageRows(window));
}

/** Rows that all workers have in their hands at most, where tasks are parts of `rows` rows: ChunkRows of row_chunks.h. */
export function chunkedRows(threads: number, rows: number): number {
  const share = Math.ceil(rows / (2 * threads));
  const whole = Math.ceil(share / LEAST_CHUNK) * LEAST_CHUNK;
  return threads * Math.min(CHUNK, Math.max(LEAST_CHUNK, whole));
}

/** RopeTable: cosines and sines of a window's positions. */
function ropeBytes({ architecture, window }: Ground): number {
  return architecture.rope ? FLOAT * window * architecture.headDim : 0;
}

/** Columns of a site's output map. */
export function siteWidth({ blocks, headDim }: Architecture, block: number, site: Site): number {
  const { ffn, heads } = blocks[block]!;
  return site === 'ffn' ? ffn : heads * headDim;
}

/** A loaded block: vectors, and of its matrices the strips at hand where they are paged. */
export function blockBytes({ architecture, threads, tiled }: Ground, block: number): number {
  const shapes = blockRoles(architecture).map((role) => blockShape(architecture, block, role));
  const sum = (of: readonly (readonly number[])[]) =>
    of.reduce((total, shape) => total + elements(shape), 0);
  if (!tiled) return FLOAT * sum(shapes);
  const matrices = shapes.filter((shape) => shape.length === 2);
  const strips = Math.max(...matrices.map(stripElements), 0);
  const atHand = Math.min(sum(matrices), stripsAtHand(threads) * strips);
  return FLOAT * (sum(shapes) - sum(matrices) + atHand);
}

/** Strips of matrices that are in use at the same time. */
export function stripsAtHand(threads: number): number {
  return Math.max(2, threads);
}

/** The largest strip of a matrix, or of what is left of it when rows or columns have gone. */
function stripElements(shape: readonly number[]): number {
  return Math.min(elements(shape), stripRows(shape[1]!) * shape[1]!);
}

/** Rows of a strip at most. */
export function stripRows(cols: number): number {
  return Math.max(STRIP_ROWS, Math.floor(STRIP_FLOATS / Math.max(cols, 1)));
}

/** encodeBlock: rows of a matrix as they go to a file, whole heads of them. */
export function encodeBytes({ architecture }: Ground, block: number): number {
  const matrices = blockRoles(architecture)
    .map((role) => blockShape(architecture, block, role))
    .filter((shape) => shape.length === 2);
  return Math.max(
    ...matrices.map((shape) => {
      const row = FLOAT * shape[1]!;
      return Math.min(FLOAT * elements(shape), ENCODE_BYTES + 2 * architecture.headDim * row);
    }),
  );
}

/** runSite, with what it needs beside block, states and statistics. */
export function runSiteBytes(
  ground: Ground,
  block: number,
  site: Site,
  states: States,
  sinks: Sinks,
): number {
  const { architecture, threads, window, gpu } = ground;
  if (gpu && siteWidth(architecture, block, site) > 0) {
    return gpuSiteBytes(ground, gpu, block, site, states, sinks);
  }
  const { rows, paged } = states;
  const { collects, feedback = false } = sinks;
  const { hidden, headDim, gated, blocks } = architecture;
  const flight = flightTokens(window, rows);
  const chunks = chunkedRows(threads, flight);
  const width = siteWidth(architecture, block, site);
  let floats = chunks * hidden;
  if (site === 'attention') floats += flight * 2 * (width + blocks[block]!.kvHeads * headDim);
  else floats += (collects ? flight : chunks) * width + (gated ? chunks * width : 0);
  // Residuals, and views of both dense states.
  if (feedback) floats += flight * hidden * (paged ? 3 : 1);
  if (paged) floats += flight * hidden;
  return FLOAT * floats + (site === 'attention' ? ropeBytes(ground) : 0);
}

/** Sums on their way back from a GPU, some rows at a time. */
export function sumRowsBytes(rows: number, width: number): number {
  return DOUBLE * Math.min(SUM_ROWS, rows) * width;
}

/** Two pages of each of these arrays of floats, which go to a GPU or come from it. */
export function pinnedBytes(...floats: number[]): number {
  const rounded = floats.map((count) => Math.ceil((FLOAT * count) / PINNED_UNIT) * PINNED_UNIT);
  return 2 * rounded.reduce((sum, bytes) => sum + bytes, 0);
}

/** Pinned pieces of weights on their way to a GPU, of matrices [rows, columns]. */
export function weightStageBytes(matrices: [rows: number, columns: number][]): number {
  const most = Math.max(...matrices.map(([rows, columns]) => rows * columns));
  const columns = Math.max(...matrices.map(([, columns]) => columns));
  return pinnedBytes(Math.max(columns, Math.min(most, WEIGHT_FLOATS)));
}

/** Host memory of runSite on a GPU: pinned pages, the pages that they are copied from and to, sums on their way back. */
function gpuSiteBytes(
  ground: Ground,
  gpu: GpuNeeds,
  block: number,
  site: Site,
  states: States,
  { collects, gram = false, feedback = false, inputs = false }: Sinks,
): number {
  const { architecture, window } = ground;
  const { hidden } = architecture;
  const width = siteWidth(architecture, block, site);
  const page = flightTokens(window, states.rows);
  const demand = { window, page, collects, gram, feedback, inputs };
  const pinned = gpu.site(block, site, demand).pinnedBytes;
  const rows = Math.max(gram ? width : 0, feedback ? hidden : 0);
  const sums = collects ? 2 * width + (feedback ? hidden : 0) : 0;
  const views = states.paged ? FLOAT * page * hidden : 0;
  const rope = site === 'attention' ? ropeBytes(ground) : 0;
  const back = Math.max(sumRowsBytes(rows, width), DOUBLE * sums);
  return pinned + rope + Math.max(views, back);
}

/** applySite on activations of which only a page is in memory. */
export function applySiteBytes(
  { architecture, threads, window }: Ground,
  block: number,
  site: Site,
  { rows, paged }: States,
): number {
  const width = siteWidth(architecture, block, site);
  const flight = flightTokens(window, rows);
  const gathered = chunkedRows(threads, flight) * width;
  return FLOAT * (gathered + flight * (width + (paged ? architecture.hidden : 0)));
}

/** What runSite adds to `runSiteBytes` where it writes an FFN's inputs and targets to scratch. */
export function ffnTokensBytes({ architecture, window }: Ground, rows: number): number {
  return FLOAT * flightTokens(window, rows) * (ffnInputs(architecture) + architecture.hidden);
}

/** Columns of an FFN's inputs as its solver has them: biases are weights of ones. */
export function ffnInputs({ hidden, biases }: Architecture): number {
  return hidden + (biases.ffnIn ? 1 : 0);
}

/** Sums of a site's input. */
export function statisticsBytes(
  ground: Ground,
  width: number,
  gram: boolean,
  residual = 0,
): number {
  const tiles = (gram ? half(width) : 0) + full(residual, width);
  return statisticsBuffers(ground, width, gram, residual) + tilesBytes(ground, tiles);
}

/** What of them does not lie in tiles. */
export function statisticsBuffers(
  { threads }: Ground,
  width: number,
  gram: boolean,
  residual = 0,
): number {
  const products = gram || residual > 0 ? FLOAT * threads * TILE_SIDE ** 2 : 0;
  return DOUBLE * 2 * (width + residual) + products;
}

export function statesBytes({ architecture }: Ground, rows: number): number {
  return FLOAT * rows * architecture.hidden;
}

export function embedBytes({ architecture, threads, window }: Ground, states: States): number {
  const { hidden, embeddingProjection, positionOffset } = architecture;
  const width = embeddingWidth(architecture);
  const view = states.paged ? flightTokens(window, states.rows) * hidden : 0;
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

function vocabularyTile(architecture: Architecture): number {
  return Math.min(VOCABULARY_TILE, architecture.vocab) * embeddingWidth(architecture);
}

/** What a head on the GPU takes beside the states' page: pinned pieces of its table, and a logit a token. */
function gpuHeadBytes(
  { architecture, threads }: Ground,
  gpu: GpuNeeds,
  tokens: number,
  means: boolean,
): number {
  const { hidden } = architecture;
  const { pinnedBytes } = gpu.head(tokens, means);
  const logits = means ? 0 : Math.min(tokens, SCORE_ROWS);
  return FLOAT * (headInput(architecture) + threads * ENDS_CHUNK * hidden + logits) + pinnedBytes;
}

/** Products of the head's inputs with expected rows, a page of either at a time. */
function dotsBytes({ architecture, threads, window }: Ground, tokens: number): number {
  const page = flightTokens(window, tokens);
  const rows = page + chunkedRows(threads, page);
  const both = architecture.hidden + embeddingWidth(architecture);
  return FLOAT * (headInput(architecture) + rows * both);
}

/** score: the states' pages and a tile of the vocabulary are not in memory at the same time. */
export function scoreBytes(ground: Ground, { rows, paged }: States): number {
  const { architecture, threads, window, gpu } = ground;
  const { hidden } = architecture;
  const page = paged ? flightTokens(window, rows) * hidden : 0;
  if (gpu) return gpuHeadBytes(ground, gpu, rows, false) + FLOAT * page;
  const flight = Math.min(rows, SCORE_ROWS);
  const workers = threads * ENDS_CHUNK * (LOGIT_COLUMNS + hidden);
  const fixed = headInput(architecture) + flight * embeddingWidth(architecture) + workers;
  return FLOAT * (fixed + Math.max(page, vocabularyTile(architecture)));
}

/** expectHead on states of which only a page is in memory. */
export function expectHeadBytes(ground: Ground, tokens: number): number {
  const { architecture, threads, window, gpu } = ground;
  const { hidden } = architecture;
  const width = embeddingWidth(architecture);
  const page = flightTokens(window, tokens);
  if (gpu) {
    const pages = FLOAT * page * Math.max(hidden, width);
    return Math.max(gpuHeadBytes(ground, gpu, tokens, true) + pages, dotsBytes(ground, tokens));
  }
  const rows = Math.min(HEAD_ROWS, tokens);
  const workers = threads * ENDS_CHUNK * hidden + chunkedRows(threads, rows) * LOGIT_COLUMNS;
  const fixed = headInput(architecture) + rows * width + workers;
  // The states' page goes before the mean's and a tile of the vocabulary come.
  return FLOAT * (fixed + Math.max(page * hidden, page * width + vocabularyTile(architecture)));
}

/** divergenceFrom on states of which only a page is in memory. */
export function divergenceBytes(ground: Ground, tokens: number): number {
  return Math.max(scoreBytes(ground, { rows: tokens, paged: true }), dotsBytes(ground, tokens));
}

/** headGradient on states and gradients of which only a page is in memory. */
export function headGradientBytes(
  { architecture, threads, window }: Ground,
  tokens: number,
): number {
  const { hidden, embeddingProjection } = architecture;
  const width = embeddingWidth(architecture);
  const rows = Math.min(HEAD_ROWS, tokens);
  const workers = chunkedRows(threads, rows) * (hidden + LOGIT_COLUMNS) + threads * width;
  const views = 2 * flightTokens(window, tokens) * hidden;
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

/** divergenceGradient on states, gradients and means of which only a page is in memory, with the sums of the final norm. */
export function divergenceGradientBytes(ground: Ground, tokens: number): number {
  const { architecture, threads, window } = ground;
  const { hidden, finalNorm } = architecture;
  const width = embeddingWidth(architecture);
  // A page of means instead of a label's row a thread.
  const targets = FLOAT * width * (flightTokens(window, tokens) - threads);
  const factors = finalNorm
    ? FLOAT * Math.min(HEAD_ROWS, tokens) * hidden + statisticsBytes(ground, hidden, false)
    : 0;
  return headGradientBytes(ground, tokens) + targets + factors;
}

/** copyMatrix of hidden states of which only a page is in memory. */
export function copyStatesBytes({ architecture, window }: Ground, rows: number): number {
  return 2 * FLOAT * flightTokens(window, rows) * architecture.hidden;
}

/** What `backwardBytes` leaves out where factors are summed: these sums, and what they are made of. */
export function factorBytes(
  ground: Ground,
  block: number,
  tokens: number,
  places: readonly { role: string; count: number }[],
): number {
  const { architecture, threads, window } = ground;
  const { hidden, blocks } = architecture;
  const page = flightTokens(window, tokens);
  const flight = Math.min(page, Math.max(1, Math.floor(BACKWARD_TOKENS / window)) * window);
  const group = Math.min(flight, threads * CHUNK);
  const biases = places.some(({ role }) => role.endsWith('Bias'));
  const products = group * blocks[block]!.ffn + flight * hidden * (biases ? 3 : 2);
  const columns = places.reduce((sum, { count }) => sum + count, 0);
  return FLOAT * products + statisticsBuffers(ground, columns, false);
}

/** backwardBlock on inputs and gradients of which only a page is in memory, with the statistics of both sites. */
export function backwardBytes(ground: Ground, block: number, tokens: number): number {
  const { architecture, threads, window } = ground;
  const { hidden, headDim, qkNorm, gated, norm, blocks } = architecture;
  const { heads, kvHeads, ffn } = blocks[block]!;
  const page = flightTokens(window, tokens);
  const flight = Math.min(page, Math.max(1, Math.floor(BACKWARD_TOKENS / window)) * window);
  const chunks = chunkedRows(threads, flight);
  const group = Math.min(flight, threads * CHUNK);
  const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
  let floats = flight * (4 * (width + kvWidth) + heads);
  if (qkNorm) floats += flight * (width + kvWidth) + chunks * Math.max(width, kvWidth);
  floats += group * (hidden + (gated ? 3 : 2) * ffn) + 2 * Math.max(group, chunks) * hidden;
  if (norm.placement === 'post') floats += flight * hidden;
  return FLOAT * (floats + 2 * page * hidden) + ropeBytes(ground);
}
