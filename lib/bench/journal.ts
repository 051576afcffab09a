/**
 * Results of a run as they come, one JSON line each, so that an interrupted run goes on where it stopped. The
 * first line says what was measured on what; results of anything else are refused.
 */
import { createHash } from 'node:crypto';
import { open, readFile, truncate } from 'node:fs/promises';
import type { z } from 'zod';
import { asOutput } from '../checkpoint/output-error';
import { makeParents } from '../checkpoint/output-path';
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';

const FORMAT = 'struprune-bench-journal 1';

export class Journal<Entry> {
  readonly #path: string;
  /** Of the conditions. */
  readonly key: string;
  /** Earlier results, in the order in which they came. */
  readonly entries: readonly Entry[];
  /** Lines before the last that are no JSON: what they held is lost. */
  readonly damaged: number;
  /** Whether results of other conditions were thrown away. */
  readonly replaced: boolean;

  private constructor(
    path: string,
    key: string,
    { entries = [], damaged = 0, replaced = false }: Partial<Found<Entry>> = {},
  ) {
    this.#path = path;
    this.key = key;
    this.entries = entries;
    this.damaged = damaged;
    this.replaced = replaced;
  }

  /**
   * Opens or begins the journal at `path` of results that hold under `conditions`. `replace`: results of other
   * conditions are thrown away. Lines that `schema` does not know, of another version, are as if they were not there.
   * @throws StruPruneError ERR_OUTPUT
   */
  static async open<Entry>(
    path: string,
    schema: z.ZodType<Entry>,
    conditions: unknown,
    replace: boolean,
  ): Promise<Journal<Entry>> {
    const head = { format: FORMAT, key: keyOf(conditions), conditions };
    const lines = await readLines(path);
    const [first, ...entries] = lines.values;
    const held = isHead(first) ? first : null;
    if (held?.key === head.key) {
      // A line that was being written when the run died.
      await asOutput(path, () => truncate(path, lines.bytes));
      const known = entries.map((entry) => schema.safeParse(entry));
      return new Journal(path, head.key, {
        entries: known.flatMap(({ data }) => (data === undefined ? [] : [data])),
        damaged: entries.filter((entry) => entry === undefined).length,
      });
    }
    if (lines.exists && !replace) {
      const other = held?.conditions;
      const differs = isObject(other) ? `: differs in ${differences(other, conditions)}` : '';
      throw new StruPruneError(
        'ERR_OUTPUT',
        `${path} holds results of another model, text, setting, version or machine${differs}`,
        'give another folder with --output, or --force to throw them away',
      );
    }
    await asOutput(path, () => makeParents(path));
    await append(path, head, 'w');
    return new Journal<Entry>(path, head.key, { replaced: lines.exists });
  }

  /** Adds a result and brings it to the disk. */
  add(entry: Entry): Promise<void> {
    return append(this.#path, entry, 'a');
  }
}

/** Same for the same conditions, whatever their order. */
export function keyOf(conditions: unknown): string {
  const sorted = JSON.stringify(conditions, (_, value: unknown) =>
    isObject(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(sorted).digest('hex');
}

interface Found<Entry> {
  entries: readonly Entry[];
  damaged: number;
  replaced: boolean;
}

/** Keys, with those inside of objects after a dot, whose values are not the same. */
function differences(a: unknown, b: unknown, prefix = ''): string {
  if (!isObject(a) || !isObject(b)) return prefix;
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  // As JSON has them: an undefined value is none.
  const differing = keys.filter((key) => keyOf({ v: a[key] }) !== keyOf({ v: b[key] }));
  const dot = prefix === '' ? '' : '.';
  return differing.map((key) => differences(a[key], b[key], `${prefix}${dot}${key}`)).join(', ');
}

function isHead(value: unknown): value is { key: string; conditions?: unknown } {
  return isObject(value) && value.format === FORMAT && 'key' in value;
}

/** Whole lines as JSON, undefined for those that are none, and where they end. */
async function readLines(path: string) {
  const text = await asOutput(path, async () => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  });
  const whole = (text ?? '').slice(0, (text ?? '').lastIndexOf('\n') + 1);
  const values = whole.split('\n').slice(0, -1).map(parsed);
  const bytes = Buffer.byteLength(whole);
  // Not even its first line was whole: nothing is lost.
  return { exists: text?.includes('\n') ?? false, values, bytes };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function append(path: string, entry: unknown, flags: 'a' | 'w'): Promise<void> {
  return asOutput(path, async () => {
    const file = await open(path, flags);
    try {
      await file.writeFile(`${JSON.stringify(entry)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}
