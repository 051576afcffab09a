/** The options of prune() and its relatives. To add one: declare it in its part, read it in lib/spec. */
import type { z } from 'zod';
import { type CallOptions, settingsFrom } from '../engine/call';
import { StruPruneError } from '../errors';
import { Own } from '../own';
import type { OnProgress, OnWarning } from '../progress';
import { flagOf } from '../wording';
import { ALLOCATION } from './allocation';
import { CALIBRATION } from './calibration';
import { EFFORT } from './effort';
import { FEEDS, type GivenLoss, type GivenSamples, requireFeeds, requireLoss } from './feeds';
import { IMAGES } from './images';
import { MACHINE } from './machine';
import { MASK } from './mask';
import { METHOD } from './method';
import { type Call, type Changes, type Option, type Options, schemaOf } from './option';
import { OUTPUT, SCRATCH } from './output';
import { type Feedback, type FfnSolver, REFIT } from './refit';
import { requireOneTarget, TARGET } from './target';

/** Every option but those of the engine, and callbacks. */
export const OPTIONS = {
  ...TARGET,
  ...EFFORT,
  ...CALIBRATION,
  ...IMAGES,
  ...OUTPUT,
  ...METHOD,
  ...MASK,
  ...REFIT,
  ...ALLOCATION,
  ...SCRATCH,
};

const schema = schemaOf(OPTIONS);
const EVERY: Options = { ...OPTIONS, ...MACHINE };

type Name = keyof typeof OPTIONS;
type TakenBy<One extends Call> = {
  [Key in Name as (typeof OPTIONS)[Key] extends { also: readonly (infer Known)[] }
    ? One extends Known
      ? Key
      : never
    : never]: true;
};

function taken<One extends Call>(call: One): TakenBy<One> {
  const entries = Object.entries<Option>(OPTIONS).filter(([, { also = [] }]) =>
    also.includes(call),
  );
  return Object.fromEntries(entries.map(([key]) => [key, true])) as TakenBy<One>;
}

/** What the allocation of a survey takes. */
export const allocationSchema = schema.pick(taken('allocate'));
/** What a survey takes. */
export const surveySchema = schema.pick(taken('survey'));

const graphSchema = schema.pick(taken('graph'));

/** What pruneGraph() takes. */
export type GraphOptions = z.input<typeof graphSchema> &
  GivenSamples &
  GivenLoss &
  CallOptions & { onProgress?: OnProgress; onWarning?: OnWarning };

/** What prune() takes; docs/cli.md says the same of the flags. Sizes in weights, bytes or tokens. */
export type PruneOptions = z.input<typeof schema> &
  CallOptions & { onProgress?: OnProgress; onWarning?: OnWarning };

type Derived = {
  [Key in Name as (typeof OPTIONS)[Key] extends { derive: unknown }
    ? Key
    : never]: (typeof OPTIONS)[Key] extends {
    derive: (settings: never) => infer Value;
  }
    ? Value
    : never;
};

/** Every option as it was given or by default, but for what the model decides (lib/spec), and the names of those that were given. */
export type Settings = z.output<typeof schema> & Derived & { given: readonly string[] };

/** Settings of a run whose model is known. */
export type RunSettings = Settings &
  Feedback & { ffnSolver: FfnSolver; tuneTokens: number; tuneMix: number };

/** Checks the options and fills the defaults in. @throws StruPruneError ERR_ARGUMENT naming the option */
export function settingsOf(options: PruneOptions): Settings {
  const values: Record<string, unknown> = settingsFrom(schema, options);
  for (const [key, { derive }] of Object.entries<Option>(OPTIONS)) {
    values[key] ??= derive?.(values as never);
  }
  const given = Object.entries(options).flatMap(([key, value]) =>
    key in OPTIONS && value !== undefined ? [key] : [],
  );
  const settings = { ...(values as Omit<Settings, 'given'>), given } as Settings;
  requireOneTarget(settings);
  requireNames(settings);
  return settings;
}

/**
 * The same of a run over a graph, which does not read all of them.
 * @throws StruPruneError ERR_ARGUMENT naming the option
 */
export function graphSettingsOf(options: GraphOptions): Settings {
  const read = Object.keys(graphSchema.shape);
  requireFeeds(options);
  requireLoss(options, options.resume);
  const given = Object.entries(options).filter(
    ([key, value]) => !saysNothing(key, value) && !(key in FEEDS) && key !== 'ownLoss',
  );
  const idle = given.map(([key]) => key).filter((key) => key in OPTIONS && !read.includes(key));
  if (idle.length > 0) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a graph is pruned without ${idle.map(flagOf).join(', ')}`,
      `leave ${idle.length > 1 ? 'them' : 'it'} out`,
    );
  }
  const asked = Object.fromEntries(given) as GraphOptions;
  settingsFrom(graphSchema, asked);
  return settingsOf({ bias: 'add', scope: 'all', ...asked });
}

/** What is on unless switched off says nothing by being on. */
function saysNothing(key: string, value: unknown): boolean {
  return value === undefined || (value === true && EVERY[key]?.takes.off === true);
}

/** Names of the options that may change such things. */
export function optionsThat(change: readonly Changes[]): string[] {
  const found = Object.entries<Option>(OPTIONS).filter(([, { changes }]) =>
    change.includes(changes),
  );
  return found.map(([key]) => key);
}

/** Of prune() or of its engine. */
export function optionOf(name: string): Option | undefined {
  return EVERY[name];
}

/** Whether another value may change a weight of the output. */
export function changesWeights({ changes }: Option): boolean {
  return ['tokens', 'survey', 'run'].includes(changes);
}

/** Nothing else tells a journal which function of the caller's it was made with. */
function requireNames({ resume, allocation, mask }: Settings): void {
  if (!resume) return;
  for (const [key, rule] of Object.entries({ allocation, mask })) {
    if (!(rule instanceof Own) || rule.name !== undefined) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--resume needs a name for the own ${key}, to know whether the journal was made with it`,
      `give ${key}: { name: 'mine 1', … }`,
    );
  }
}
