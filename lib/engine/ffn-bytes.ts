/** What the solvers of an FFN's input weights charge to the memory budget, in bytes: see native-bytes.ts. */
import {
  chunkedRows,
  ffnInputs,
  type Ground,
  pageRows,
  pinnedBytes,
  statisticsBuffers,
  statisticsBytes,
  stripRows,
  stripsAtHand,
  sumRowsBytes,
  weightStageBytes,
} from './native-bytes';
import type { FfnDemand } from './native-gpu';
import { refitBytes, targetBytes } from './solver-bytes';
import { DOUBLE, FLOAT, full, half, tilesBytes } from './tile-bytes';

const FFN_PAGE = 2048; // ffn_pass.h
const MOVED_ROWS = 64; // ffn_solver.cpp

/** An FFN of `width` channels on `rows` tokens. */
interface Ffn {
  hidden: number;
  width: number;
  /** Columns of its inputs. */
  inputs: number;
  /** Weights of the inputs: gate and up, or up alone. */
  parts: number;
  /** Tokens of a page, and those that chunks of it work on. */
  page: number;
  chunks: number;
}

function ffnOf({ architecture, threads, window }: Ground, width: number, rows: number): Ffn {
  const { hidden, gated } = architecture;
  const inputs = ffnInputs(architecture);
  const page = Math.min(rows, pageRows(window));
  const chunks = chunkedRows(threads, FFN_PAGE);
  return { hidden, width, inputs, parts: gated ? 2 : 1, page, chunks };
}

/**
 * Copies of weights: as many of the input maps, and of the output map. Where they are paged, the strips at hand are a loaded
 * block's, but for a column of biases.
 */
function copiesBytes(ground: Ground, ffn: Ffn, inputCopies: number, outputCopies: number): number {
  const { hidden, width, inputs, parts } = ffn;
  if (ground.tiled) {
    const ones = inputs - hidden;
    return FLOAT * ones * stripsAtHand(ground.threads) * Math.min(width, stripRows(inputs));
  }
  return FLOAT * width * (inputCopies * parts * inputs + outputCopies * hidden);
}

/** Numbers by channel: of a page, and of the chunks at hand. */
function activations({ chunks, width, parts }: Ffn): number {
  return FLOAT * (chunks * width + FFN_PAGE * parts * width);
}

/**
 * What a pass over the tokens takes beside their pages on the engine's GPU: pinned pages, as long as they may be, and rows
 * of sums [rows, width] on their way back. null: it has none.
 */
function passBytes(
  { gpu }: Ground,
  { hidden, width, inputs, page }: Ffn,
  pass: FfnDemand['pass'],
  sums: [rows: number, width: number][],
): number | null {
  if (gpu === null) return null;
  const most = Math.min(page, FFN_PAGE);
  gpu.ffn(width, { pass, inputs, page: most });
  const targets = pass === 'gradient' || pass === 'hidden' ? hidden : 0;
  return (
    pinnedBytes(most * inputs, most * targets) +
    weightStageBytes([
      [width, inputs],
      [hidden, width],
    ]) +
    Math.max(...sums.map((of) => sumRowsBytes(...of)))
  );
}

/** Sums of a pass, one a part: what does not lie in tiles. */
function sumsBuffers(ground: Ground, { inputs, width, parts }: Ffn): number {
  return parts * statisticsBuffers(ground, inputs, true, width);
}

/**
 * Gauss-Newton on inputs and targets that lie in scratch, from createGaussNewton on, with the refits of the output map
 * between its rounds. `further`: a round has more than one step.
 */
export function gaussNewtonBytes(
  ground: Ground,
  width: number,
  rows: number,
  further: boolean,
): number {
  const ffn = ffnOf(ground, width, rows);
  const { hidden, inputs, parts, page, chunks } = ffn;
  const iterate = parts * full(width, inputs);
  const fit = full(hidden, width, FLOAT);
  const factors = parts * half(width) + half(inputs);
  const bias = FLOAT * hidden;

  const sums = half(inputs) + iterate;
  const curvature = half(width);
  const lineariseTiles = Math.max(
    fit + sums + (parts + 1) * curvature + full(hidden, width),
    fit + sums + (parts + 2) * curvature,
    fit + sums + factors + iterate + full(width, inputs),
  );
  const gradientOnGpu = passBytes(ground, ffn, 'gradient', [
    [width, Math.max(width, inputs)],
    [inputs, inputs],
  ]);
  const gradient =
    (gradientOnGpu ?? activations(ffn) + FLOAT * (FFN_PAGE * parts * width + chunks * hidden)) +
    FLOAT * page * (inputs + hidden) +
    parts * statisticsBuffers(ground, width, true);
  const linearise =
    copiesBytes(ground, ffn, 2, 1) +
    sumsBuffers(ground, ffn) +
    Math.max(gradient, DOUBLE * MOVED_ROWS * inputs) +
    tilesBytes(ground, lineariseTiles);

  // The next direction beside δ, the residual, and the last direction with its image; a part is transposed on its way.
  const iterates = factors + fit + (further ? 4 : 2) * iterate;
  const held = factors + fit + (further ? 4 : 3) * iterate;
  const conjugate =
    copiesBytes(ground, ffn, 2, 1) +
    tilesBytes(ground, iterates + iterate + full(inputs, width) + full(width, inputs));
  const productOnGpu = passBytes(ground, ffn, further ? 'product' : 'line', [[width, inputs]]);
  const product =
    copiesBytes(ground, ffn, 3, 1) +
    (productOnGpu ??
      activations(ffn) +
        FLOAT * chunks * (parts * width + hidden) +
        (further ? FLOAT * FFN_PAGE * parts * width : 0)) +
    FLOAT * page * inputs +
    (further ? sumsBuffers(ground, ffn) : 0) +
    tilesBytes(ground, iterates + full(width, inputs) + (further ? iterate : 0));

  const move = copiesBytes(ground, ffn, 3, 1) + DOUBLE * MOVED_ROWS * inputs;
  const refit = copiesBytes(ground, ffn, 2, 1) + outputRefitBytes(ground, ffn);
  const between = tilesBytes(ground, held) + Math.max(move, refit);
  const copies = ground.gpu?.algebra(width, inputs) ?? 0;
  return bias + copies + Math.max(linearise, conjugate, product, between);
}

/** Auxiliary variables of the same FFN, from createAuxiliary on, with the refits between their iterations. */
export function auxiliaryBytes(ground: Ground, width: number, rows: number): number {
  const ffn = ffnOf(ground, width, rows);
  const { hidden, inputs, parts, page, chunks } = ffn;
  const change = full(width, inputs);
  const fit = full(hidden, width, FLOAT);
  const bias = FLOAT * hidden;

  const inverse = ground.tiled ? 0 : FLOAT * hidden ** 2;
  const wishes =
    activations(ffn) +
    FLOAT * chunks * (2 * parts * width + 2 * hidden) +
    FLOAT * page * (inputs + hidden);
  const sums = half(inputs) + parts * change;
  const iterateTiles = Math.max(
    fit + half(hidden) + full(hidden, width),
    fit + 3 * half(hidden),
    fit + sums + half(inputs) + (parts + 3) * change,
  );
  const iterate =
    copiesBytes(ground, ffn, 2, 1) +
    sumsBuffers(ground, ffn) +
    Math.max(inverse + wishes, DOUBLE * MOVED_ROWS * inputs) +
    tilesBytes(ground, iterateTiles);

  const move = copiesBytes(ground, ffn, 3, 1) + DOUBLE * MOVED_ROWS * inputs;
  const refit = copiesBytes(ground, ffn, 2, 1) + outputRefitBytes(ground, ffn);
  const between = tilesBytes(ground, fit + parts * change) + Math.max(move, refit);
  const copies = ground.gpu?.algebra(width, inputs) ?? 0;
  return bias + copies + Math.max(iterate, between);
}

/** The refit of an FFN's output map between rounds, beside what their solver holds. */
function outputRefitBytes(ground: Ground, ffn: Ffn): number {
  const { hidden, width, inputs, parts, page, chunks } = ffn;
  const hiddenOnGpu = passBytes(ground, ffn, 'hidden', [
    [width, width],
    [hidden, width],
  ]);
  const collect =
    copiesBytes(ground, ffn, 1, 1) +
    FLOAT * (hidden + page * inputs) +
    (hiddenOnGpu === null
      ? FLOAT * (chunks * parts * width + FFN_PAGE * (width + hidden))
      : hiddenOnGpu + FLOAT * page * hidden);
  const problem = { inputs: width, outputs: hidden, group: 1, cross: true, fisher: false };
  return (
    statisticsBytes(ground, width, true, hidden) +
    Math.max(collect, targetBytes(ground, problem), refitBytes(ground, problem, width))
  );
}
