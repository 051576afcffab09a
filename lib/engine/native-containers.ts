/** Checkpoint files as the addon reads them. */
import type { Dtype, TensorRef } from '../model/architecture';
import type { EngineHandle, FileHandle } from './handles';

/** A tensor as its file states it; `dtype` may be one that this program cannot read. */
export interface ContainerTensor {
  name: string;
  dtype: string;
  /** Row-major, slowest first, in both formats. */
  shape: number[];
  /** From the start of the file. */
  offset: number;
  bytes: number;
}

export interface SafetensorsHeader {
  tensors: ContainerTensor[];
  metadata: Record<string, string>;
}

/** 64-bit integers are numbers where that is exact, else bigints. */
export type GgufValue = GgufScalar | GgufScalar[];
export type GgufScalar = string | number | bigint | boolean;

export interface ParsedGguf {
  version: number;
  alignment: number;
  metadata: Record<string, GgufValue>;
  /** `uint8` … `float64`, `bool`, `string`, `array:<type>`. */
  metadataTypes: Record<string, string>;
  tensors: ContainerTensor[];
}

export interface NativeContainers {
  parseSafetensors(path: string): SafetensorsHeader;
  /** Without the arrays of the metadata that have more than `longest` entries. */
  parseGguf(path: string, longest: number): ParsedGguf;
  openFile(path: string): FileHandle;
  /** Rows of a tensor that is in no block, encoded as `dtype`. */
  encodeTensor(
    engine: EngineHandle,
    tensor: TensorRef,
    files: readonly FileHandle[],
    dtype: Dtype,
    row: number,
    count: number,
  ): Promise<Uint8Array>;
}
