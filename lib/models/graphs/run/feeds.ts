/** Samples of a graph that a program gives one after the other, as it would give them to onnxruntime. */
import type { ContainerTensor } from '../../../checkpoint/container';
import { StruPruneError } from '../../../errors';
import { elements } from '../../../model/axes';
import type { Fed, FeedSource, Feeds } from '../../../options/feeds';
import { Own } from '../../../own';
import { dimsStated } from '../constants';
import type { Source } from '../onnx/source';
import { elementBytes } from '../onnx/tensor';
import { elementTypeOf } from './batches';
import { KINDS, kindOfInput } from './elements';
import type { Reader } from './reader';
import { inputsOf, Samples } from './samples';
import { ScratchFiles } from './scratch-files';

/** One input, as far as it was given. */
interface Given {
  name: string;
  dataType: number;
  /** The same for every sample. */
  isFixed: boolean;
  count: number;
  /** Of one sample; of an input without axes []. */
  shape: readonly number[] | undefined;
}

/**
 * The samples, kept in files of `scratch` that have no name. `name`: of the option that gives them.
 * @throws StruPruneError ERR_ARGUMENT where they do not fit the inputs, ERR_NAN, ERR_SCRATCH; what the source throws
 */
export async function samplesOfFeeds(
  name: string,
  source: FeedSource,
  { graph, runtime }: Reader,
  { scratch, signal }: { scratch: string; signal?: AbortSignal },
): Promise<Samples> {
  const inputs = inputsOf(graph).map(
    (info): Given => ({
      ...{ name: info.name, dataType: elementTypeOf(info), count: 0, shape: undefined },
      isFixed: dimsStated(info)?.length === 0,
    }),
  );
  await using files = await ScratchFiles.open(scratch);
  for await (const feeds of heard(source)) {
    signal?.throwIfAborted();
    for (const input of inputs) {
      const isKnown = input.isFixed && input.shape !== undefined;
      const bytes = taken(name, input, feeds[input.name]);
      if (!isKnown) await files.append(String(inputs.indexOf(input)), bytes);
    }
  }
  if (inputs.some(({ shape }) => shape === undefined)) {
    throw new StruPruneError('ERR_ARGUMENT', `${name} gives nothing`, 'give a sample at least');
  }
  let offset = 0;
  const tensors = inputs.map(({ name: key, dataType, isFixed, count, shape }): ContainerTensor => {
    const all = isFixed ? [] : [count, ...shape!];
    const bytes = elements(all) * elementBytes(dataType)!;
    const tensor = { name: key, dtype: KINDS[dataType]!.stored, shape: all, offset, bytes };
    offset += bytes;
    return tensor;
  });
  const sources = inputs.map((_, i) => files.source(String(i)));
  const data: Source & { close(): void } = {
    length: offset,
    read: (at, length) => {
      const i = tensors.findLastIndex(({ offset: start }) => start <= at);
      return sources[i]!.read(at - tensors[i]!.offset, length);
    },
    close: () => {
      for (const each of sources) each.close();
    },
  };
  return Samples.of(name, tensors, data, graph, runtime);
}

/** The bytes of what an input is given, which is counted. @throws StruPruneError ERR_ARGUMENT */
function taken(option: string, input: Given, fed: Fed | undefined): Uint8Array {
  const { name, dataType, isFixed } = input;
  const kind = kindOfInput(name, dataType);
  if (!fed || !ArrayBuffer.isView(fed.data) || !Array.isArray(fed.dims)) {
    throw unfit(`${option} gives no { data, dims } for ${name}, which is an input of the graph`);
  }
  const { data, dims } = fed;
  const array = kind.of(new Uint8Array()).constructor.name;
  // Where Node has a Float16Array, onnxruntime's tensors have one.
  const fits = [array, ...(kind.type === 'float16' ? ['Float16Array'] : [])];
  if (!fits.includes(data.constructor.name)) {
    throw unfit(`${option} gives a ${data.constructor.name} for ${name}, which takes a ${array}`);
  }
  if (data.length !== elements(dims)) {
    throw unfit(`${option} gives ${data.length} elements of ${name} for [${dims.join(', ')}]`);
  }
  const [count = 1, ...shape] = dims;
  input.shape ??= isFixed ? [] : shape;
  if (!isFixed && (dims.length === 0 || String(shape) !== String(input.shape))) {
    const first = `[samples, ${input.shape.join(', ')}]`;
    throw unfit(`${option} gives [${dims.join(', ')}] for ${name} behind ${first}`);
  }
  input.count += count;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function unfit(found: string): StruPruneError {
  return new StruPruneError('ERR_ARGUMENT', found, 'give what session.run() of onnxruntime takes');
}

/** The caller's source, whose own errors stay what they are. */
function heard(source: FeedSource): AsyncIterable<Feeds> {
  const feeds =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  const next = new Own(undefined, async () => feeds.next()).call;
  const stop = async () => {
    await feeds.return?.();
    return { done: true, value: undefined } as const;
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
}
