/** What a call was given, looked at before it is used: who writes JavaScript has no compiler that did. */
import { inspect } from 'node:util';
import { z } from 'zod';
import { closest } from './closest';
import { StruPruneError } from './errors';
import { nameOf } from './wording';

export const path = z.string().min(1).describe('a path');
export const bytes = z.number().int().min(0).describe('bytes, as a number');
export const count = z.number().int().positive();

/** Options against a schema; `others`: names that it does not have to know. @throws StruPruneError ERR_ARGUMENT naming the option */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  options: object,
  others: readonly string[] = [],
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys' || issue.path.length > 0) continue;
    throw unknownOption(issue.keys[0]!, [...Object.keys(properties), ...others]);
  }
  const [key] = issues[0]!.path as string[];
  if (key === undefined) throw refusal('the options are', options, 'them as an object');
  const value = (options as Record<string, unknown>)[key];
  throw refusal(`option ${nameOf(key)} is`, value, wordsOf(properties[key] as Shape));
}

function unknownOption(name: string, known: readonly string[]): StruPruneError {
  // Spread, a text or a list has its places for names.
  if (/^\d+$/.test(name)) {
    return new StruPruneError(
      'ERR_ARGUMENT',
      'the options are a text or a list',
      'give them as an object',
    );
  }
  const meant = closest(name, known);
  return new StruPruneError(
    'ERR_ARGUMENT',
    `unknown option "${name}"`,
    meant ? `did you mean ${meant}?` : `the options are ${known.join(', ')}`,
  );
}

function refusal(what: string, value: unknown, wanted: string): StruPruneError {
  const limits = { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 60 };
  const found = value === undefined ? 'missing' : inspect(value, limits);
  return new StruPruneError('ERR_ARGUMENT', `${what} ${found}`, `give ${wanted}`);
}

/** As JSON Schema has it. */
interface Shape {
  description?: string;
  type?: string;
  enum?: string[];
  anyOf?: Shape[];
  items?: Shape;
  properties?: object;
  minItems?: number;
  minLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
}

/** What an option takes, for people. */
function wordsOf(shape: Shape): string {
  const choices = choicesOf(shape);
  return choices.length > 1
    ? `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
    : choices[0]!;
}

function choicesOf(shape: Shape): string[] {
  if (shape.description !== undefined) {
    const range = shape.type === 'integer' ? ` ${rangeOf({ ...shape, ...wholeLeast(shape) })}` : '';
    return [shape.description + range];
  }
  if (shape.anyOf) return shape.anyOf.flatMap(choicesOf);
  if (shape.enum) return shape.enum.map((value) => `'${value}'`);
  switch (shape.type) {
    case 'boolean':
      return ['true', 'false'];
    case 'integer':
      return [`a whole number ${rangeOf({ ...shape, ...wholeLeast(shape) })}`];
    case 'number':
      return [`a number ${rangeOf(shape)}`];
    case 'array':
      return [`a list${shape.minItems ? ' with entries' : ''}, each ${wordsOf(shape.items!)}`];
    case 'object':
      return [`{ ${Object.keys(shape.properties ?? {}).join(', ')} }`];
    default:
      return [`a string${shape.minLength ? ' that is not empty' : ''}`];
  }
}

function wholeLeast({ minimum, exclusiveMinimum }: Shape): Shape {
  return { minimum: minimum ?? exclusiveMinimum! + 1, exclusiveMinimum: undefined };
}

function rangeOf({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Shape): string {
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const upTo = exclusiveMaximum === undefined ? `${most}` : `below ${exclusiveMaximum}`;
  const ends = (most ?? exclusiveMaximum) !== undefined;
  if (exclusiveMinimum !== undefined)
    return `above ${exclusiveMinimum}${ends ? ` and ${upTo}` : ''}`;
  return ends ? `from ${minimum} to ${upTo}` : `of at least ${minimum}`;
}
