/** Elementary functions over vectors. */

/**
 * What decides a byte of an output is computed here and not by Math.exp, Math.log or **, whose last bits differ between
 * V8 and JavaScriptCore.
 */
export interface NativeNumbers {
  exp(values: Float64Array): Float64Array;
  log(values: Float64Array): Float64Array;
  pow(base: number, exponents: Float64Array): Float64Array;
  /** Of a value a token of whole windows; NaN stands where there is none. */
  sumOfTokens(values: Float64Array, window: number): number;
}
