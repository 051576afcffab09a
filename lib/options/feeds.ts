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

/** A loss that a program gives itself. */
export interface GivenLoss {
  /** In place of what the outputs' ops and names say. */
  ownLoss?: OwnLoss;
}

/** Outputs of the graph by their names, for the samples of a batch. */
export type Outputs = Readonly<Record<string, Fed>>;

/**
 * How far outputs are from the dense graph's, in place of what docs/graphs.md says of each output: 0 or more, the mean over the
 * batch's samples. `name`: by which journals and results know it; what computes otherwise has another name.
 */
export interface OwnLoss {
  name?: string;
  loss: (dense: Outputs, pruned: Outputs) => number;
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

/** @throws StruPruneError ERR_ARGUMENT */
export function requireLoss({ ownLoss }: GivenLoss, resume: boolean | undefined): void {
  if (ownLoss === undefined) return;
  if (typeof ownLoss?.loss !== 'function') {
    const found = 'option ownLoss is no { name, loss } with a function loss';
    throw new StruPruneError('ERR_ARGUMENT', found, 'give ownLoss: { loss: (dense, pruned) => … }');
  }
  if (!resume || ownLoss.name !== undefined) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    '--resume needs a name for the own loss, to know whether the journal was made with it',
    "give ownLoss: { name: 'mine 1', … }",
  );
}
