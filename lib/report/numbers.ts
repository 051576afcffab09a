/** Numbers of a report: shown as people read them, kept whole in the `value` of a data element. */
import { bytes, duration, grouped, MIB, mebibytes, percent, short } from '../numbers';
import { type Html, html } from './html';

export type Format = (value: number) => string;

/** `20.57`, `118.3`, `12,480`: four significant digits. */
export function perplexity(value: number): string {
  if (!Number.isFinite(value)) return 'not finite';
  if (value >= 1e6) return value.toExponential(2);
  if (value >= 1000) return grouped(Math.round(value));
  return value.toFixed(value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

/** `+12.4 %`, `−3.1 %` with a minus sign; ratios past ten as `×31.5`. */
export function change(ratio: number): string {
  if (ratio >= 10) return `×${ratio >= 100 ? grouped(Math.round(ratio)) : ratio.toFixed(1)}`;
  const shown = percent(Math.abs(ratio - 1));
  return `${ratio < 1 ? '−' : '+'}${shown}`;
}

/** The same at the marks of an axis: `+5 %`. */
export function changeMark(ratio: number): string {
  const shown = asked(Number(Math.abs(ratio - 1).toFixed(6)));
  return `${ratio === 1 ? '' : ratio < 1 ? '−' : '+'}${shown}`;
}

/** Marks of an axis over many sizes: `0.05`, `2,000`, `2×10⁵`, `10⁻⁸`. */
export function mark(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e5)) {
    return value.toLocaleString('en-US', { maximumSignificantDigits: 6 });
  }
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = [...exponent.replace('+', '')].map((digit) => SUPERSCRIPTS[digit]).join('');
  return mantissa === '1' ? `10${power}` : `${mantissa}×10${power}`;
}

const SUPERSCRIPTS: Readonly<Record<string, string>> = Object.fromEntries(
  [...'-0123456789'].map((digit, i) => [digit, [...'⁻⁰¹²³⁴⁵⁶⁷⁸⁹'][i]!]),
);

/** `×1.53`. */
export function times(ratio: number): string {
  return `×${ratio >= 100 ? grouped(Math.round(ratio)) : ratio.toFixed(2)}`;
}

/** `0.8 s`, `41 s`, `3:05`, `1:02:05`. */
export function time(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  return seconds < 60 ? `${Math.round(seconds)} s` : duration(seconds);
}

/** `134.5 M`, `1.74 M`, `7.24 B`. */
export function million(value: number): string {
  const [scaled, unit] = value >= 1e9 ? [value / 1e9, 'B'] : [value / 1e6, 'M'];
  return `${scaled.toFixed(scaled >= 100 ? 1 : 2)} ${unit}`;
}

/** `20 %`, `12.5 %`: a share that was asked for. */
export function asked(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}

/** The number in its words, with the number itself for machines. */
export function data(value: number, format: Format): Html {
  return html`<data value="${String(value)}">${format(value)}</data>`;
}

export { bytes, grouped, MIB, mebibytes, percent, short };
