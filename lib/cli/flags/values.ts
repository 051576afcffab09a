/** Texts of flags as values; commander adds the flag's name to the message. */
import { InvalidArgumentError } from 'commander';

export function count(text: string): number {
  const value = whole(text);
  if (value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}

export function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export function positive(text: string): number {
  const value = number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

export function nonNegative(text: string): number {
  const value = number(text);
  if (value < 0) throw new InvalidArgumentError('It must be a number of at least 0.');
  return value;
}

/** A share from 0 to 1, 1 itself included. */
export function share(text: string): number {
  const value = number(text);
  if (value < 0 || value > 1) throw new InvalidArgumentError('It must be a number from 0 to 1.');
  return value;
}

/** A share below 1. */
export function shareBelowOne(text: string): number {
  const value = number(text);
  if (value < 0 || value >= 1) {
    throw new InvalidArgumentError('It must be a number from 0 to below 1 (0.2 for 20 %).');
  }
  return value;
}

/** `0.1,0.2` as shares above 0 and below 1. */
export function shares(text: string): number[] {
  return names(text).map((part) => {
    const value = shareBelowOne(part);
    if (value === 0) throw new InvalidArgumentError('A share must be above 0.');
    return value;
  });
}

/** `a,b` as words. */
export function names(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.some((part) => part === '')) {
    throw new InvalidArgumentError('It must be a list by commas, for example a,b.');
  }
  return parts;
}

export function deviceName(text: string): string {
  if (/^(auto|cpu|cuda:\d{1,3})$/.test(text)) return text;
  throw new InvalidArgumentError('It must be auto, cpu or cuda:N.');
}

const UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Bytes of `300MiB`, `1.5 GB` or `1000000`. */
export function size(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = UNITS[unit?.toLowerCase() ?? 'none'];
  const bytes = Math.floor(Number(digits) * (factor ?? Number.NaN));
  if (!Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError(
      'It must be bytes, or a number with a unit: KB, MB, GB, TB, KiB, MiB, GiB or TiB.',
    );
  }
  return bytes;
}

/** `128MiB,4GiB` as bytes. */
export function sizes(text: string): number[] {
  return names(text).map(size);
}

function number(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}
