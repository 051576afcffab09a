import { type Html, html } from '../html';
import { bytes, data } from '../numbers';

/** Weight files before and after, in bytes. Fewer weights in more bytes are no gain, and the reader is told why. */
export function fileSizes(before: number, after: number): Html {
  return after <= before
    ? html`weight files of ${data(after, bytes)} instead of ${data(before, bytes)}.`
    : html`weight files of ${data(after, bytes)}. (The source's ${data(before, bytes)} hold fewer bits a weight.)`;
}
