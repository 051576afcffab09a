/** Numbers as people read them. */

/** `134,515,008`. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 thread`, `2 threads`. */
export function counted(value: number, what: string): string {
  return `${grouped(value)} ${what}${value === 1 ? '' : 's'}`;
}

/** `62,976 tokens in 123 windows of 512`, or `no text`. */
export function tokensInWindows(tokens: number, window: number): string {
  if (tokens === 0) return 'no text';
  return `${counted(tokens, 'token')} in ${counted(tokens / window, 'window')} of ${grouped(window)}`;
}

/** `98.7 MB`, decimal as file managers count. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

export const MIB = 2 ** 20;

/** `350 MiB`, as memory is counted. */
export function mebibytes(value: number): string {
  return `${Math.round(value / MIB)} MiB`;
}

/** The whole MiB that so many bytes fit into. */
export function wholeMebibytes(value: number): number {
  return Math.ceil(value / MIB);
}

/** `20.1 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** `-25.4 %`, `+1.0 %`. */
export function change(before: number, after: number): string {
  return `${after < before ? '-' : '+'}${percent(Math.abs(after - before) / before)}`;
}

/** `0:41`, `1:02:05`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  if (hours > 0) return `${hours}:${two(minutes)}:${two(whole % 60)}`;
  return `${minutes}:${two(whole % 60)}`;
}

/** Three or four significant digits, never in exponents where they can be avoided. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  return size >= 100 ? value.toFixed(1) : String(Number(value.toPrecision(4)));
}
