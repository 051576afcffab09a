/** What a config.json or GGUF metadata may hold: a schema for each, whose errors name the key of the file. */
import { z } from 'zod';
import { StruPruneError } from '../errors';

/** Largest width, count or vocabulary that a checkpoint may claim; real models stay far below. */
const MAX_SIZE = 2 ** 28;

/** A value of which only one thing has to be known. `words` complete "it must be". */
function valueThat<T>(words: string, holds: (value: unknown) => boolean) {
  return z.custom<T>(holds, { error: `must be ${words}` });
}

function isWhole(value: unknown, least: number): boolean {
  return Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= MAX_SIZE;
}

/** The arithmetic is in 32 bits, where 1e300 is no number. */
function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Math.fround(value) > 0 && Number.isFinite(Math.fround(value));
}

export const text = valueThat<string>('a string', (value) => typeof value === 'string');
export const flag = valueThat<boolean>('true or false', (value) => typeof value === 'boolean');
export const positive = valueThat<number>('a number above 0', isPositive);
export const positiveOrZero = valueThat<number>(
  'a number that is not negative',
  (value) => value === 0 || isPositive(value),
);
export const epsilon = valueThat<number>(
  'a number above 0 and up to 1',
  (value) => isPositive(value) && value <= 1,
);
export const size = valueThat<number>(`a whole number from 1 to ${MAX_SIZE}`, (value) =>
  isWhole(value, 1),
);
export const sizeOrZero = valueThat<number>(`a whole number from 0 to ${MAX_SIZE}`, (value) =>
  isWhole(value, 0),
);

/** A token id, the first where there is a list of them; null where there is none. */
export const tokenId = valueThat<number | number[] | null | undefined>(
  'a token id or a list of them',
  (value) => value === null || value === undefined || [value].flat().every(Number.isSafeInteger),
).transform((value): number | null => [value].flat()[0] ?? null);

/** Numbers for every block: a list, or one for all of them. */
export const perBlock = valueThat<number | number[]>(
  `a whole number from 0 to ${MAX_SIZE}, or a list of them`,
  (value) => [value].flat().every((entry) => isWhole(entry, 0)),
);

/** An object with these fields; others are not looked at. */
export function fieldsOf<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: 'must be an object' });
}

/** Values of a file, and how messages name the file. */
export interface Stated {
  values: Record<string, unknown>;
  where: string;
}

/**
 * The fields of a schema out of a file that may call them otherwise.
 * @param keyOf the file's name of a field; undefined: it has none
 * @throws StruPruneError ERR_CHECKPOINT naming the key
 */
export function readFields<Shape extends z.ZodRawShape>(
  shape: Shape,
  { values, where }: Stated,
  keyOf: (field: string) => string | undefined = (field) => field,
): z.output<z.ZodObject<Shape>> {
  const fields = Object.keys(shape).flatMap((field) => {
    const key = keyOf(field);
    return key === undefined ? [] : [[field, values[key]]];
  });
  const read = z.object(shape).safeParse(Object.fromEntries(fields));
  if (read.success) return read.data;
  const { path, message } = read.error.issues[0]!;
  const [field, ...inside] = path.map(String);
  throw badField({ values, where }, [keyOf(field!) ?? field!, ...inside], message);
}

/** The shortest decimal with this float32 value: GGUF's 1e-5 reads 9.9999997e-6 otherwise. */
export function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return Math.fround(value);
}

/** One entry a block. @throws StruPruneError ERR_CHECKPOINT for a list of another length */
export function spread(
  value: number | number[],
  blocks: number,
  file: Stated,
  path: string[],
): number[] {
  if (!Array.isArray(value)) return new Array<number>(blocks).fill(value);
  if (value.length === blocks) return value;
  throw badField(file, path, `has ${value.length} entries for ${blocks} blocks`);
}

/** Every block has tensors: nothing is made for more of them. @throws StruPruneError ERR_CHECKPOINT */
export function requireTensors(blocks: number, tensors: number, file: Stated, key: string): void {
  if (blocks <= tensors) return;
  throw badField(file, [key], `must be ${tensors} at most, as many as there are tensors`);
}

/** Of a block; real models have hundreds. */
const MOST_EXPERTS = 2 ** 12;

/** A token passes some of the experts of a block. */
export function requireExperts(
  { experts, topK }: { experts: number; topK: number },
  file: Stated,
  keys: { experts: string; topK: string },
): void {
  if (experts > MOST_EXPERTS)
    throw badField(file, [keys.experts], `must be ${MOST_EXPERTS} at most`);
  if (topK < 1 || topK > experts)
    throw badField(file, [keys.topK], `must be from 1 to ${experts}, the experts`);
}

export function unsupported(where: string, what: string, mend: string): StruPruneError {
  return new StruPruneError('ERR_UNSUPPORTED', `${where}: ${what} is not supported`, mend);
}

/** `"silu"`, `false, null or left out`: values of a key, for people. */
export function statedAs(values: readonly unknown[]): string {
  const words = values.map((value) => (value === undefined ? 'left out' : JSON.stringify(value)));
  return OR.format(words);
}

const OR = new Intl.ListFormat('en-GB', { type: 'disjunction' });

/** An error about a key, with the value that it has. */
export function badField(
  { values, where }: Stated,
  [key, ...inside]: string[],
  what: string,
): StruPruneError {
  const value = inside.reduce(
    (value, step) => (value as Record<string, unknown> | undefined)?.[step],
    values[key!],
  );
  const found = value === undefined ? 'is missing' : `${what} (it is ${shown(value)})`;
  return new StruPruneError(
    'ERR_CHECKPOINT',
    `${where}: ${[key, ...inside].join('.')} ${found}`,
    'fetch or convert the checkpoint again',
  );
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  const plain = (_key: string, part: unknown) =>
    typeof part === 'bigint' || (typeof part === 'number' && !Number.isFinite(part))
      ? `${part}`
      : part;
  return JSON.stringify(value, plain).slice(0, 60);
}
