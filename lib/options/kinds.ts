/** What options take: the library's check, and how a command line writes it. */
import { z } from 'zod';
import { bytes as byteCount, path as somePath, count as wholeCount } from '../check';

/** How the command line reads a value; as it stands where there is none. */
export type Writing =
  | 'count'
  | 'countOrNone'
  | 'positive'
  | 'nonNegative'
  | 'share'
  | 'removal'
  | 'parametersOrPercent'
  | 'multiplyAddsOrPercent'
  | 'size'
  | 'sizeOrPercent'
  | 'device'
  | 'names'
  | 'numbers'
  | 'shares'
  | 'sizes';

export interface Kind<Schema extends z.ZodType = z.ZodType> {
  schema: Schema;
  /** The value in a flag, `<n>`; a switch has none. */
  value?: string;
  writing?: Writing;
  choices?: readonly string[];
  /** What the command line takes for one of the choices too, in any case. */
  spellings?: Readonly<Record<string, string>>;
  /** A switch that is on unless its flag, `--no-…`, is given. */
  off?: true;
}

export const count = kind(wholeCount, '<n>', 'count');
export const countOrNone = kind(z.number().int().min(0), '<n>', 'countOrNone');
export const positive = kind(z.number().positive(), '<x>', 'positive');
export const nonNegative = kind(z.number().min(0), '<x>', 'nonNegative');
/** A share from 0 to 1. */
export const share = kind(z.number().min(0).max(1), '<share>', 'share');
/** Of nothing too, in the library: the model as it is. */
export const removal = kind(z.number().min(0).lt(1), '<share>', 'removal');
/** Something has to go. */
export const shareAboveNone = kind(z.number().gt(0).lt(1), '<share>', 'removal');
export const bytes = kind(byteCount, '<size>', 'size');
export const size = kind(byteCount.positive(), '<size>', 'size');

/** `75%`: a share of what there would be with nothing removed. */
export type Percent = `${number}%`;
const percent = z
  .templateLiteral([z.number(), '%'])
  .refine((text) => shareOf(text) > 0 && shareOf(text) < 1)
  .describe("a share between '0%' and '100%'");
const countOrPercent = z.union([wholeCount, percent]);
export const parametersOrPercent = kind(countOrPercent, '<n>', 'parametersOrPercent');
export const multiplyAddsOrPercent = kind(countOrPercent, '<n>', 'multiplyAddsOrPercent');
export const sizeOrPercent = kind(
  z.union([byteCount.positive(), percent]),
  '<size>',
  'sizeOrPercent',
);
/** More than as fast as before. */
export const speedUp = kind(z.number().gt(1).max(100), '<x>', 'positive');
export const file = kind(somePath, '<file>');
/** A path; in the library also texts, or token ids of the model's vocabulary. */
export const ownText = kind(
  z
    .union([
      somePath,
      z.array(z.string().min(1)).min(1),
      z.array(z.number().int().min(0)).min(1),
      z.custom<Int32Array>((value) => value instanceof Int32Array),
    ])
    .describe('a path, a list of texts, or token ids'),
  '<file>',
);
/** Flags: several after one. */
export const files = kind(z.array(somePath), '<file...>');
export const folder = kind(somePath, '<folder>');
export const path = kind(somePath, '<path>');
export const text = kind(z.string().min(1), '<text>');
export const program = kind(z.string().min(1), '<program>');
export const device = kind(z.string(), '<name>', 'device');
export const on: Kind<z.ZodBoolean> = { schema: z.boolean() };
export const off: Kind<z.ZodBoolean> = { schema: z.boolean(), off: true };

/** Those named twice count once. */
export const shares = kind(
  z
    .array(z.number().gt(0).lt(1))
    .min(1)
    .transform((all) => [...new Set(all)]),
  '<list>',
  'shares',
);
export const sizes = kind(
  z.array(byteCount).transform((all) => [...new Set(all)]),
  '<list>',
  'sizes',
);
/** `224`, or height and width: `480x640`. */
export const dimensions = kind(
  z.string().regex(/^[1-9]\d{0,4}(x[1-9]\d{0,4})?$/, { error: 'must be 224 or 480x640' }),
  '<size>',
);
/** Those named twice count once. */
export const counts = kind(
  z
    .array(wholeCount)
    .min(1)
    .transform((all) => [...new Set(all)].sort((a, b) => a - b)),
  '<list>',
  'sizes',
);
export const numbers = kind(z.array(z.number()).min(1).max(3), '<list>', 'numbers');
export const names = kind(z.array(z.string().min(1)).min(1), '<list>', 'names');

/** 0.75 of `75%`. */
export function shareOf(percent: Percent): number {
  return Number(percent.slice(0, -1)) / 100;
}

export function choice<const Name extends string>(
  choices: readonly Name[],
  spellings: Readonly<Record<string, Name>> = {},
) {
  return { ...kind(z.enum(choices), '<name>'), choices, spellings };
}

/** One of the names, or a function of the caller's, which only the library takes. */
export function choiceOr<const Name extends string, Own extends z.ZodType>(
  choices: readonly Name[],
  own: Own,
) {
  return { ...kind(z.union([z.enum(choices), own]), '<name>'), choices };
}

function kind<Schema extends z.ZodType>(
  schema: Schema,
  value: string,
  writing?: Writing,
): Kind<Schema> {
  return writing ? { schema, value, writing } : { schema, value };
}
