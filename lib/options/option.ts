/**
 * An option is declared once, as data. The library's types and checks, flags, `--help`, docs/cli.md, warnings of options
 * without effect and the identities of runs and surveys are all made of the declarations.
 */
import { z } from 'zod';
import type { Kind } from './kinds';

/**
 * What another value may change: nothing; where things lie or how they are packed; what is measured beside the work; which
 * tokens calibrate or tune, of which identities have the hash; the dense survey and so the run; the run alone.
 */
export type Changes = 'nothing' | 'places' | 'measured' | 'tokens' | 'survey' | 'run';

/** Calls that take it beside prune() and plan() of a checkpoint. */
export type Call = 'survey' | 'allocate' | 'graph';

/** Why a run with such settings does not read the option (`without --eval`); null where it does. */
export type Reader = (settings: never) => string | null;

export interface Declaration {
  takes: Kind;
  /** One line, without the default. */
  help: string;
  changes: Changes;
  /** A fixed default. Functions are called when it is asked for. */
  default?: unknown;
  /** The default that other options decide; those that stand before this one have theirs. What the model decides is lib/spec's. */
  derive?: (settings: never) => unknown;
  /** The default in words, where it is not a fixed value. */
  otherwise?: string;
  required?: true;
  /** One of those that have it must be given. */
  alternative?: true;
  /** How the flag names the value, where the kind's own word says too little. */
  value?: string;
  /** Of the flag: `-o`. */
  short?: string;
  also?: readonly Call[];
  /** All of them must be content. */
  read?: readonly Reader[];
}

export interface Headed {
  /** Heading of `--help` and docs/cli.md. */
  group: string;
  /** Only methods that say so read it. */
  byMethod: boolean;
}

export type Option = Declaration & Headed;
export type Options = Readonly<Record<string, Option>>;

type Declared<Part> = { readonly [Key in keyof Part]: Part[Key] & Headed };

/** Options under one heading. */
export function declare<const Part extends Record<string, Declaration>>(
  heading: { group: string; byMethod?: boolean },
  part: Part,
): Declared<Part> {
  const more = { byMethod: false, ...heading };
  const entries = Object.entries(part).map(([key, option]) => [key, { ...option, ...more }]);
  return Object.fromEntries(entries) as Declared<Part>;
}

type Decision = 'default' | 'derive' | 'otherwise' | 'required' | 'alternative' | 'read';

/** An option of another call: its words and kind, but for what differs. Its default is not taken over. */
export function like<const From extends Declaration, const Change extends Partial<Declaration>>(
  { default: _, derive, otherwise, required, alternative, read, ...rest }: From,
  change: Change,
): Omit<From, Decision | keyof Change> & Change {
  return { ...rest, ...change } as Omit<From, Decision | keyof Change> & Change;
}

type SchemaOf<One> = One extends { takes: Kind<infer Schema> }
  ? One extends { default: unknown }
    ? z.ZodDefault<Schema>
    : One extends { required: true }
      ? Schema
      : z.ZodOptional<Schema>
  : never;

export type SchemaOfAll<Part> = z.ZodObject<
  { -readonly [Key in keyof Part]: SchemaOf<Part[Key]> },
  z.core.$strict
>;

/** What checks the options of a call and fills the fixed defaults in. */
export function schemaOf<Part extends Options>(part: Part): SchemaOfAll<Part> {
  const entries = Object.entries(part).map(([key, { takes, required, ...option }]) => {
    if ('default' in option) return [key, takes.schema.default(option.default)];
    return [key, required ? takes.schema : takes.schema.optional()];
  });
  return z.strictObject(Object.fromEntries(entries)) as unknown as SchemaOfAll<Part>;
}
