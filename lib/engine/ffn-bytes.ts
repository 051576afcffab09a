/** What the solvers of an FFN's input weights charge to the memory budget, in bytes: see native-bytes.ts. */
import type { Architecture } from '../model/architecture';
import { CHUNK, ffnInputs, type Ground, pageRows, statisticsBytes } from './native-bytes';
import { refitBytes, targetBytes } from './solver-bytes';
import { DOUBLE, FLOAT } from './tile-bytes';

const FFN_PAGE = 2048; // ffn_pass.h

/**
 * Gauss-Newton on an FFN of `width` channels whose inputs and targets lie in scratch, from createGaussNewton on, with the
 * refits of the output map between its rounds. `further`: a round has more than one step.
 */
export function gaussNewtonBytes(
  ground: Ground,
  width: number,
  rows: number,
  further: boolean,
): number {
  const { architecture, threads } = ground;
  const { hidden } = architecture;
  const inputs = ffnInputs(architecture);
  const parts = architecture.gated ? 2 : 1;
  const channels = parts * width;
  const cells = channels * inputs;
  const page = Math.min(rows, pageRows(ground.window));
  const chunks = threads * CHUNK;
  // Its own sums are not paged.
  const resident = { ...ground, tiled: false };

  const factors = DOUBLE * (parts * width ** 2 + inputs ** 2);
  // Origin, the fit at hand, and the linearisation: map, factors, shift, residual and direction, and its image.
  const held = FLOAT * (cells + hidden * width) + ffnMapBytes(architecture, width) + factors;
  const iterates = DOUBLE * cells * (further ? 4 : 3);

  const activations = FLOAT * (chunks * width + FFN_PAGE * channels);
  const gradient =
    activations +
    FLOAT * (FFN_PAGE * channels + chunks * hidden) +
    FLOAT * page * (inputs + hidden);
  const sums = statisticsBytes(resident, inputs, true, channels);
  const moments = parts * statisticsBytes(resident, width, true);
  const factoring = DOUBLE * 2 * width ** 2;
  const linearise = held - factors + sums + moments + Math.max(gradient, factoring);

  const product =
    activations +
    FLOAT * (chunks * (channels + hidden) + page * inputs) +
    (further
      ? FLOAT * FFN_PAGE * channels + statisticsBytes(resident, inputs, false, channels)
      : 0);
  const direction =
    held + iterates + Math.max(DOUBLE * (cells + cells / parts), FLOAT * cells + product);

  const refit = held + iterates + outputRefitBytes(ground, width, rows);
  return Math.max(linearise, direction, refit);
}

/** Auxiliary variables of the same FFN, from createAuxiliary on, with the refits between their iterations. */
export function auxiliaryBytes(ground: Ground, width: number, rows: number): number {
  const { architecture, threads, window } = ground;
  const { hidden } = architecture;
  const inputs = ffnInputs(architecture);
  const channels = (architecture.gated ? 2 : 1) * width;
  const cells = channels * inputs;
  const chunks = threads * CHUNK;
  // Origin, the fit at hand, where the iteration began.
  const held = FLOAT * (cells + hidden * width) + ffnMapBytes(architecture, width);
  const inverse = FLOAT * hidden ** 2;
  const wishes =
    FLOAT * (chunks * (2 * channels + width + 2 * hidden) + FFN_PAGE * channels) +
    FLOAT * Math.min(rows, pageRows(window)) * (inputs + hidden);
  const iterate =
    statisticsBytes({ ...ground, tiled: false }, inputs, true, channels) +
    Math.max(
      inverse + Math.max(DOUBLE * (hidden * width + hidden ** 2), wishes),
      DOUBLE * (inputs ** 2 + cells),
    );
  return held + Math.max(iterate, DOUBLE * cells + outputRefitBytes(ground, width, rows));
}

/** A copy of an FFN's weights. */
function ffnMapBytes(architecture: Architecture, width: number): number {
  const { hidden, gated } = architecture;
  return FLOAT * ((gated ? 2 : 1) * width * ffnInputs(architecture) + hidden * width + hidden);
}

/** The refit of an FFN's output map between rounds, beside what their solver holds. */
function outputRefitBytes(ground: Ground, width: number, rows: number): number {
  const { architecture, threads, window } = ground;
  const { hidden } = architecture;
  const channels = (architecture.gated ? 2 : 1) * width;
  const page = Math.min(rows, pageRows(window));
  const collect =
    ffnMapBytes(architecture, width) +
    FLOAT * (threads * CHUNK * channels + FFN_PAGE * (width + hidden)) +
    FLOAT * page * ffnInputs(architecture);
  const problem = { inputs: width, outputs: hidden, group: 1, cross: true, fisher: false };
  return (
    statisticsBytes(ground, width, true, hidden) +
    Math.max(collect, targetBytes(ground, problem), refitBytes(ground, problem, width))
  );
}
