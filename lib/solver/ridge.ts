/** How large a ridge is, as a share of the diagonal of a Gram matrix (docs/decisions/0040, of experts 0036). */

/** Where a map has tokens enough. */
export const LAMBDA = 0.05;

/** Tokens a column at which the ridge is 1: of a layer, and of an expert, whose part of what is missing is small. */
const UNITY = { layer: 6, expert: 64 };

export interface Sampled {
  columns: number;
  tokens: number;
}

/** λ of a layer's output map: as it was asked for; else larger where few tokens made its sums, which then fit their own noise. */
export function ridgeOfLayer(asked: number | undefined, sampled: Sampled): number {
  return asked ?? grown(UNITY.layer, sampled);
}

/** The same of an expert's output map, on the tokens that are routed to it. */
export function ridgeOfExpert(asked: number | undefined, sampled: Sampled): number {
  return asked ?? grown(UNITY.expert, sampled);
}

function grown(unity: number, { columns, tokens }: Sampled): number {
  return Math.max(LAMBDA, ((unity * columns) / Math.max(1, tokens)) ** 2);
}
