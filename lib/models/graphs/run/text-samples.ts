/** Samples of a graph that reads tokens, made of a text by the tokenizer beside it. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ContainerTensor } from '../../../checkpoint/container';
import { StruPruneError } from '../../../errors';
import { inThread } from '../../../tokenizer';
import { dimsStated } from '../constants';
import type { GraphProto, ValueInfoProto } from '../onnx/onnx_pb';
import { elementTypeOf } from './batches';
import { KINDS } from './elements';
import type { Reader } from './reader';
import { inputsOf, Samples } from './samples';

/** What the inputs hold at a place of a window, by the names that exporters give them. */
const INPUTS: Readonly<Record<string, (id: number, place: number) => number>> = {
  input_ids: (id) => id,
  attention_mask: () => 1,
  token_type_ids: () => 0,
  position_ids: (_, place) => place,
};

/** Tokens of a window where nothing states another number: about a paragraph. */
const WINDOW = 128;

export interface SampledText {
  path: string;
  /** At most so many tokens; all where left out. */
  tokens?: number;
  window?: number;
}

/** Folder of the tokenizer that makes samples of the file; null where those are tensors. */
export function tokenizerFor(path: string, model: string, graph: GraphProto): string | null {
  return /\.(safetensors|npz)$/.test(path) ? null : tokenizerOfGraph(model, graph);
}

/** Folder of the tokenizer, where the graph reads tokens and nothing else and has one beside it or in the folder above. */
function tokenizerOfGraph(model: string, graph: GraphProto): string | null {
  const names = inputsOf(graph).map(({ name }) => name);
  if (!names.includes('input_ids') || !names.every((name) => name in INPUTS)) return null;
  const beside = dirname(model);
  const folders = [beside, join(beside, '..')];
  return folders.find((folder) => existsSync(join(folder, 'tokenizer.json'))) ?? null;
}

/** Windows of the text, one after the other, each a sample. @throws StruPruneError as Samples.open, ERR_TEXT, ERR_TOKENIZER */
export async function samplesOfText(
  { path, tokens = Number.POSITIVE_INFINITY, window: asked }: SampledText,
  folder: string,
  { graph, runtime }: Reader,
  signal?: AbortSignal,
): Promise<Samples> {
  const inputs = inputsOf(graph);
  const window = windowOf(inputs, asked);
  const source = { kind: 'folder', folder } as const;
  const most = Math.max(1, Math.floor(tokens / window));
  const ids = await inThread('windows', { source, path, window, most }, signal);
  const made = inputs.map((info) => arrayOf(info, ids, window));
  let offset = 0;
  const tensors = made.map(({ name, dtype, data }): ContainerTensor => {
    const shape = [ids.length / window, window];
    const tensor = { name, dtype, shape, offset, bytes: data.byteLength };
    offset += data.byteLength;
    return tensor;
  });
  const bytes = new Uint8Array(offset);
  made.forEach(({ data }, i) => {
    bytes.set(new Uint8Array(data.buffer), tensors[i]!.offset);
  });
  const read = (offset: number, length: number) => bytes.slice(offset, offset + length);
  return Samples.of(path, tensors, { length: bytes.length, read }, graph, runtime);
}

/** A length that the graph states, or what was asked for. */
function windowOf(inputs: readonly ValueInfoProto[], asked: number | undefined): number {
  const stated = inputs.map((info) => dimsStated(info)?.[1]).find((dim) => typeof dim === 'number');
  if (stated === undefined) return asked ?? WINDOW;
  if (asked === undefined || asked === stated) return stated as number;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `--window is ${asked}, and the graph reads ${stated} tokens at a time`,
    'leave --window out',
  );
}

function arrayOf(info: ValueInfoProto, ids: Int32Array, window: number) {
  const { name } = info;
  const { stored: dtype } = KINDS[elementTypeOf(info)] ?? { stored: 'I64' };
  const values = Array.from(ids, (id, i) => INPUTS[name]!(id, i % window));
  const data = dtype === 'I32' ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
  return { name, dtype: dtype === 'I32' ? dtype : 'I64', data };
}
