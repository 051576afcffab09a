/** Checked reading of GGUF metadata, whose values a file may give any type. */
import { StruPruneError } from '../errors';

/** By key: the values themselves, or entries that hold a value beside its type (GgufEntry). */
export type Metadata = Record<string, unknown>;

function bareValue(metadata: Metadata, key: string): unknown {
  const entry = metadata[key];
  // No GGUF value is an object, so this one is an entry.
  const typed = typeof entry === 'object' && entry !== null && 'type' in entry && 'value' in entry;
  return typed ? entry.value : entry;
}

const wrong = (key: string, wanted: string) =>
  new StruPruneError(
    'ERR_TOKENIZER',
    `GGUF metadata ${key} is not ${wanted}`,
    'use a file with a complete tokenizer, or the Hugging Face folder of the model',
  );

export function optionalString(metadata: Metadata, key: string): string | null {
  const value = bareValue(metadata, key);
  if (value === undefined) return null;
  if (typeof value !== 'string') throw wrong(key, 'a string');
  return value;
}

export function optionalBoolean(metadata: Metadata, key: string): boolean | null {
  const value = bareValue(metadata, key);
  if (value === undefined) return null;
  if (typeof value !== 'boolean') throw wrong(key, 'a bool');
  return value;
}

export function optionalInteger(metadata: Metadata, key: string): number | null {
  const value = bareValue(metadata, key);
  if (value === undefined) return null;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrong(key, 'an integer');
  return number;
}

export function optionalStrings(metadata: Metadata, key: string): string[] | null {
  const value = bareValue(metadata, key);
  if (value === undefined) return null;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw wrong(key, 'an array of strings');
  }
  return value as string[];
}

/** Plain or typed array of numbers. */
export function optionalNumbers(metadata: Metadata, key: string): ArrayLike<number> | null {
  const value = bareValue(metadata, key);
  if (value === undefined) return null;
  if (value instanceof Int32Array || value instanceof Float32Array) return value;
  if (value instanceof Uint32Array || value instanceof Float64Array) return value;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'number')) {
    throw wrong(key, 'an array of numbers');
  }
  return value as number[];
}
