/** Samples of a graph that a program gives itself. */
import { StruPruneError } from '../errors';

/** Elements of a tensor; those of 16-bit floats are their bits. */
export type Elements =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint16Array
  | Uint8Array
  | Int8Array;

/** A tensor, as onnxruntime's own `Tensor` is one: row-major, the first axis counts samples. */
export interface Fed {
  readonly data: Elements;
  readonly dims: readonly number[];
}

/** A tensor for every input of the graph, by its name: one sample or some. */
export type Feeds = Readonly<Record<string, Fed>>;

/** What gives them; it is gone through once. */
export type FeedSource = Iterable<Feeds> | AsyncIterable<Feeds>;

/** Samples that a program gives itself, in place of what a path leads to. */
export interface GivenSamples {
  /** In place of `calibration`. */
  calibrationFeeds?: FeedSource;
  /** In place of `eval`. */
  evalFeeds?: FeedSource;
}

/** In place of what. */
export const FEEDS = { calibrationFeeds: 'calibration', evalFeeds: 'eval' } as const;

/** @throws StruPruneError ERR_ARGUMENT */
export function requireFeeds(
  options: GivenSamples & { calibration?: unknown; eval?: unknown },
): void {
  for (const [key, place] of Object.entries(FEEDS) as [
    keyof typeof FEEDS,
    'calibration' | 'eval',
  ][]) {
    const source: unknown = options[key];
    if (source === undefined) continue;
    if (options[place] !== undefined) {
      const found = `${key} and ${place} both say what the samples are`;
      throw new StruPruneError('ERR_ARGUMENT', found, 'give one of them');
    }
    const isSource =
      Object(source) === source &&
      (Symbol.asyncIterator in (source as object) || Symbol.iterator in (source as object));
    if (isSource) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `option ${key} is ${typeof source}, and not an iterable`,
      'give feeds one after the other, as session.run() of onnxruntime takes them',
    );
  }
}
