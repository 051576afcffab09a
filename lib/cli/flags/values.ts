/** Texts of flags as values; commander adds the flag's name to the message. */
import { InvalidArgumentError } from 'commander';
import { closest } from '../../closest';
import type { Percent, Writing } from '../../options/kinds';

export const PARSERS: Readonly<Record<Writing, (text: string) => unknown>> = {
  count,
  countOrNone,
  positive,
  nonNegative,
  share,
  removal,
  parametersOrPercent,
  multiplyAddsOrPercent,
  size,
  sizeOrPercent,
  device: deviceName,
  names,
  numbers,
  shares,
  sizes,
};

export function count(text: string): number {
  return whole(text, 1);
}

function whole(text: string, least: number): number {
  const value = scaled(text, { '': 1 });
  if (!Number.isSafeInteger(value) || value < least) {
    throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
  }
  return value;
}

export function countOrNone(text: string): number {
  return whole(text, 0);
}

export function positive(text: string): number {
  return number(text, (value) => value > 0, 'a number above 0');
}

export function nonNegative(text: string): number {
  return number(text, (value) => value >= 0, 'a number of at least 0');
}

/** A share from 0 to 1, 1 itself included. */
export function share(text: string): number {
  const words = 'a number from 0 to 1, or a percentage (0.2 or 20%)';
  return number(decimal(text), (value) => value >= 0 && value <= 1, words);
}

/** What is to go: a share above 0 and below 1. */
export function removal(text: string): number {
  const words = 'above 0 and below 1, or a percentage (0.2 or 20%)';
  return number(decimal(text), (value) => value > 0 && value < 1, words);
}

/** `0.1,20%` as shares above 0 and below 1. */
export function shares(text: string): number[] {
  return names(text).map(removal);
}

/** `0.2` of `20%`; other texts as they are. */
function decimal(text: string): string {
  const digits = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text)?.[1];
  return digits === undefined ? text : String(Number(digits) / 100);
}

/** One of the names, in any case, or another spelling of one. */
export function choiceOf(
  choices: readonly string[],
  spellings: Readonly<Record<string, string>> = {},
): (text: string) => string {
  return (text) => {
    const name = text.trim().toLowerCase();
    if (choices.includes(name)) return name;
    if (Object.hasOwn(spellings, name)) return spellings[name]!;
    const meant = closest(name, choices);
    const question = meant ? `Did you mean ${meant}? ` : '';
    throw new InvalidArgumentError(`${question}Allowed choices are ${choices.join(', ')}.`);
  };
}

/** `a,b` as words. */
export function names(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.some((part) => part === '')) {
    throw new InvalidArgumentError('It must be a list by commas, for example a,b.');
  }
  return parts;
}

/** `0.5,0.4` as numbers. */
export function numbers(text: string): number[] {
  return names(text).map((part) => number(part, Number.isFinite, 'numbers by commas'));
}

export function deviceName(text: string): string {
  const name = text.trim().toLowerCase();
  if (/^(auto|cpu|cuda:\d{1,3})$/.test(name)) return name;
  // As torch has it.
  if (name === 'cuda') return 'cuda:0';
  throw new InvalidArgumentError('It must be auto, cpu or cuda:N.');
}

const PARAMETERS = { '': 1, k: 1e3, m: 1e6, b: 1e9 };

/** Parameters of `1.5M`, `2B`, `1e9` or `1000000`. */
export function parameters(text: string): number {
  return amount(text, PARAMETERS, 'K, M or B: 1.5M');
}

function amount(text: string, units: Readonly<Record<string, number>>, also: string): number {
  const value = scaled(text, units);
  const whole = Math.round(value);
  if (Number.isSafeInteger(whole) && value >= 1) return whole;
  throw new InvalidArgumentError(
    `It must be a number of at least 1, also with ${also}; or a share of what there is: 75%.`,
  );
}

/** The same, or `75%`. */
export function parametersOrPercent(text: string): number | Percent {
  return percentage(text) ?? parameters(text);
}

const MULTIPLY_ADDS = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** Multiply-adds of `300M`, `1.5G`, `1e9` or `1000000`, or `75%`. */
export function multiplyAddsOrPercent(text: string): number | Percent {
  return percentage(text) ?? amount(text, MULTIPLY_ADDS, 'K, M, G or T: 1.5G');
}

/** A bare letter counts in powers of 1024, as in other tools that take memory. */
const BYTES = {
  '': 1,
  b: 1,
  ...{ k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 },
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** Bytes of `300MiB`, `1.5 GB`, `2g`, `1e9` or `1000000`. */
export function size(text: string): number {
  const value = scaled(text, BYTES);
  const bytes = Math.floor(value);
  // Less than a byte is a number whose unit was left out, and no byte would stand for no limit.
  if (Number.isSafeInteger(bytes) && (bytes > 0 || value === 0)) return bytes;
  throw new InvalidArgumentError(
    'It must be bytes, or a number with a unit: KB, MB, GB, TB, KiB, MiB, GiB, TiB, or K, M, G, T for the latter.',
  );
}

/** The same, or `75%`. */
export function sizeOrPercent(text: string): number | Percent {
  return percentage(text) ?? size(text);
}

function percentage(text: string): Percent | null {
  if (!text.trim().endsWith('%')) return null;
  const percent = Number(text.trim().slice(0, -1));
  if (percent > 0 && percent < 100) return `${percent}%`;
  throw new InvalidArgumentError('A share must be above 0% and below 100%.');
}

/** `128MiB,4GiB` as bytes. */
export function sizes(text: string): number[] {
  return names(text).map(size);
}

function number(text: string, holds: (value: number) => boolean, words: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && holds(value)) return value;
  throw new InvalidArgumentError(`It must be ${words}.`);
}

/** A decimal number, also as 1e9, times its unit; NaN for anything else. */
function scaled(text: string, units: Readonly<Record<string, number>>): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?(?:e\+?\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  return Number(digits) * (units[unit.toLowerCase()] ?? Number.NaN);
}
