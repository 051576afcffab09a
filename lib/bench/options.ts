import type { z } from 'zod';
import { ENGINE_KEYS } from '../engine/engine-options';
import { StruPruneError } from '../errors';

/** What every benchmark takes beside its settings. */
const NOT_SETTINGS = [...ENGINE_KEYS, 'onProgress', 'quick'];

/** Options against a schema, engine and callbacks left out. @throws StruPruneError ERR_ARGUMENT naming the option */
export function parseSettings<Schema extends z.ZodType>(
  schema: Schema,
  options: object,
): z.output<Schema> {
  const given = Object.entries(options).filter(
    ([key, value]) => !NOT_SETTINGS.includes(key) && value !== undefined,
  );
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new StruPruneError('ERR_ARGUMENT', `option ${path.join('.') || 'unknown'}: ${message}`);
}
