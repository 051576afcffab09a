import type { z } from 'zod';
import { CALL_KEYS } from './engine/engine-options';
import { StruPruneError } from './errors';

/**
 * The settings among a call's options, checked against a schema; the engine, its own options, the signal and callbacks are
 * left out. @throws StruPruneError ERR_ARGUMENT naming the option
 */
export function settingsFrom<Schema extends z.ZodType>(
  schema: Schema,
  options: object,
): z.output<Schema> {
  const given = Object.entries(options).filter(
    ([key, value]) => !CALL_KEYS.includes(key) && value !== undefined,
  );
  return parse(schema, Object.fromEntries(given));
}

/** A value against a schema. @throws StruPruneError ERR_ARGUMENT naming the option */
export function parse<Schema extends z.ZodType>(schema: Schema, value: object): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new StruPruneError('ERR_ARGUMENT', `option ${path.join('.') || 'unknown'}: ${message}`);
}
