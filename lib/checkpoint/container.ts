/**
 * Headers of safetensors and GGUF files, parsed and checked by the native side; no weights are read. Its errors
 * come as they are: with `code` and `mend`, but not yet a StruPruneError (lib/engine/native.ts).
 */
import { native } from '../engine/native';
import type { ContainerTensor, GgufValue, SafetensorsHeader } from '../engine/native-containers';
import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';

export type {
  ContainerTensor,
  GgufScalar,
  GgufValue,
  SafetensorsHeader,
} from '../engine/native-containers';

/** A value in the bytes that a file has for it, type not included: written as it stands, never read. */
export type EncodedValue = Uint8Array<ArrayBuffer>;

export interface GgufEntry {
  /** `uint8` … `float64`, `bool`, `string`, `array:<type>`. */
  type: string;
  value: GgufValue | EncodedValue;
}

export interface GgufHeader {
  version: number;
  alignment: number;
  metadata: Record<string, GgufEntry>;
  tensors: ContainerTensor[];
}

/** @throws ERR_NOT_FOUND; ERR_CHECKPOINT for whatever the format does not allow */
export function parseSafetensors(path: string): SafetensorsHeader {
  return native.parseSafetensors(path);
}

/**
 * `longest`: arrays of the metadata with more entries are left out. A vocabulary has a hundred thousand, which take a thread
 * tens of milliseconds: who only wants the model asks for short ones.
 * @throws ERR_NOT_FOUND; ERR_CHECKPOINT for whatever the format does not allow;
 *   ERR_UNSUPPORTED for other versions, big-endian files and unknown tensor types
 */
export function parseGguf(path: string, longest = Number.MAX_SAFE_INTEGER): GgufHeader {
  const { metadata, metadataTypes, ...header } = native.parseGguf(path, longest);
  // Object.fromEntries makes own properties, whatever the keys of the file are called.
  const entries = Object.entries(metadata).map(([key, value]): [string, GgufEntry] => [
    key,
    { type: metadataTypes[key]!, value },
  ]);
  return { ...header, metadata: Object.fromEntries(entries) };
}

/** Elements and bytes of one storage block; as native/core/dtype.cpp. */
const LAYOUTS: Record<Dtype, { elements: number; bytes: number }> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
  F8_E4M3: { elements: 1, bytes: 1 },
  F4_E2M1: { elements: 2, bytes: 1 },
  F8_E8M0: { elements: 1, bytes: 1 },
  MXFP4: { elements: 32, bytes: 17 },
};

/** Elements of one storage block. */
export function blockElements(dtype: Dtype): number {
  return LAYOUTS[dtype].elements;
}

/** Whether values share scales by blocks, which lie among them. */
export function isQuantised(dtype: Dtype): boolean {
  return blockElements(dtype) > 1 && !hasScalesApart(dtype);
}

/** Whether scales of blocks lie in another tensor. */
export function hasScalesApart(dtype: Dtype): boolean {
  return dtype === 'F8_E4M3' || dtype === 'F4_E2M1';
}

/** Whether rows of this shape are whole storage blocks of the type. */
export function fitsBlocks(dtype: Dtype, shape: number[]): boolean {
  return (shape.at(-1) ?? 1) % LAYOUTS[dtype].elements === 0;
}

/** Bytes of a weight, with its part of the scales. */
export function bytesEach(dtype: Dtype): number {
  // A folder has the powers of MXFP4 in another tensor.
  const { bytes, elements } = LAYOUTS[dtype === 'F4_E2M1' ? 'MXFP4' : dtype];
  return bytes / elements;
}

/** Bytes of a stored tensor. @throws StruPruneError ERR_ARGUMENT when its rows are not whole blocks */
export function storageBytes(dtype: Dtype, shape: number[]): number {
  if (!fitsBlocks(dtype, shape)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `rows of ${shape.at(-1)} values are not whole ${dtype} blocks of ${LAYOUTS[dtype].elements}`,
      'choose f16 or f32 for this tensor',
    );
  }
  const elements = shape.reduce((product, width) => product * width, 1);
  return (elements / LAYOUTS[dtype].elements) * LAYOUTS[dtype].bytes;
}
