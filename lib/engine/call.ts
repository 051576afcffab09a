/** What every call that computes may be told beside its settings, and the engine that it gets. */
import { z } from 'zod';
import { bytes, parse } from '../check';
import { StruPruneError } from '../errors';
import type { OnProgress, OnWarning } from '../progress';
import { turn } from '../turns';
import { Engine } from './engine';
import { type EngineOptions, MACHINE_KEYS } from './engine-options';

export interface CallOptions extends EngineOptions {
  /** An engine that is there, which the call waits for; else it makes one of its own of the options above. */
  engine?: Engine;
}

/** Options that no schema of settings knows. */
export const CALL_KEYS: readonly string[] = [
  ...MACHINE_KEYS,
  'engine',
  'signal',
  'onProgress',
  'onWarning',
] satisfies (keyof (CallOptions & { onProgress: OnProgress; onWarning: OnWarning }))[];

const callback = z
  .custom((value) => typeof value === 'function')
  .describe('a function')
  .optional();

/** What every call may be told beside its settings; its engine looks at the rest. */
const callSchema = z.object({
  engine: z
    .custom((value) => typeof (value as { run?: unknown } | null)?.run === 'function')
    .describe('a new Engine()')
    .optional(),
  // Those of other realms are no instances of ours.
  signal: z
    .custom((value) => typeof (value as { aborted?: unknown } | null)?.aborted === 'boolean')
    .describe('an AbortSignal')
    .optional(),
  memory: bytes.optional(),
  ranks: z.unknown().optional(),
  network: z.unknown().optional(),
  onProgress: callback,
  onWarning: callback,
  onNotice: callback,
});

/** The options of a call. @throws StruPruneError ERR_ARGUMENT: none, or what every call may be told is something else */
export function checkedOptions<Options extends object>(options: Options): Options {
  const { engine, ranks, network } = parse(callSchema, options);
  if (!engine && network !== undefined && ranks === undefined) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--network: it is what ranks can send to each other, and there is one process',
      'give --ranks too',
    );
  }
  return options;
}

/**
 * The settings among a call's options, checked against a schema; the engine, its own options, the signal and callbacks are
 * left out. @throws StruPruneError ERR_ARGUMENT naming the option
 */
export function settingsFrom<Schema extends z.ZodType>(
  schema: Schema,
  options: object,
): z.output<Schema> {
  const given = Object.entries(checkedOptions(options)).filter(
    ([key, value]) => !CALL_KEYS.includes(key) && value !== undefined,
  );
  return parse(schema, Object.fromEntries(given), CALL_KEYS);
}

/**
 * Runs a call on the engine of its options, or on one of its own, which is gone afterwards. `shared`: by all ranks of a team,
 * where there is one; what ends it on one of them ends it on all.
 */
export async function withEngine<T>(
  options: CallOptions,
  call: (engine: Engine) => Promise<T>,
  { shared } = { shared: false },
): Promise<T> {
  const { engine, signal } = checkedOptions(options);
  const machine = MACHINE_KEYS.filter((key) => options[key] !== undefined);
  if (engine && machine.length > 0) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `option ${machine.join(', ')}: the engine that is given has its own`,
      'give it to new Engine() instead',
    );
  }
  if (!shared && (engine?.shares || options.ranks !== undefined)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      '--ranks: of all calls prune() of a checkpoint alone is shared',
      'leave it out',
    );
  }
  const onTeam = (one: Engine) =>
    one.team.call(
      () => call(one),
      signal,
      () => one.stop(),
    );
  if (engine) return engine.run(signal, onTeam);
  const given = Object.fromEntries(machine.map((key) => [key, options[key]]));
  // The first engine loads the addon, which the check of the first options need not wait for.
  await turn();
  const own = new Engine(given);
  try {
    return await own.run(signal, onTeam);
  } finally {
    await own.dispose();
  }
}
