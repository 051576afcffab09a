/** Useful flops of the solvers, counted from their formulas: 2 a multiplication and its addition. */

/**
 * One sweep of a map `[m, n]` that removes `removed` columns: P = H_λ⁻¹ (n³), W* and Q = W*ᵀW* (2mn² + mn²), then
 * every removal downdates what is left of P by one product and of Q by two, all symmetric; and the exact curve, one
 * Cholesky more with the solves of its right sides.
 */
export function sweepFlops(m: number, n: number, removed: number): number {
  const downdates = n ** 3 - (n - removed) ** 3;
  return n ** 3 + 3 * m * n ** 2 + downdates + n ** 3 / 3 + m * n ** 2;
}

/** The exact refit on `kept` columns: a Cholesky and the solves of m right sides. */
export function refitFlops(m: number, kept: number): number {
  return kept ** 3 / 3 + 2 * m * kept ** 2;
}

/** XᵀX of `[tokens, n]`: half of a product, since it is symmetric. */
export function gramFlops(tokens: number, n: number): number {
  return tokens * n ** 2;
}
