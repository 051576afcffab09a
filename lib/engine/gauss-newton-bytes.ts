/** What Gauss-Newton charges to the memory budget, in bytes: see native-bytes.ts. */
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

  const map = FLOAT * (cells + hidden * width + hidden);
  const factors = DOUBLE * (parts * width ** 2 + inputs ** 2);
  // Origin, the fit at hand, and the linearisation: map, factors, shift, residual and direction, and its image.
  const held = FLOAT * (cells + hidden * width) + map + factors;
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

  const collect = map + FLOAT * (chunks * channels + FFN_PAGE * (width + hidden) + page * inputs);
  const problem = { inputs: width, outputs: hidden, group: 1, cross: true, fisher: false };
  const refit =
    held +
    iterates +
    statisticsBytes(ground, width, true, hidden) +
    Math.max(collect, targetBytes(ground, problem), refitBytes(ground, problem, width));
  return Math.max(linearise, direction, refit);
}
