/** Types of elements: as ONNX, safetensors and onnxruntime have them. */
import { StruPruneError } from '../../../errors';
import type { Elements } from '../../../options/feeds';

export type { Elements };

export interface Kind {
  /** As safetensors has it. */
  stored: string;
  /** As onnxruntime has it. */
  type: string;
  of: (bytes: Uint8Array<ArrayBuffer>) => Elements;
}

/** By TensorProto.DataType. */
export const KINDS: Readonly<Record<number, Kind>> = {
  1: { stored: 'F32', type: 'float32', of: ({ buffer }) => new Float32Array(buffer) },
  2: { stored: 'U8', type: 'uint8', of: (bytes) => bytes },
  3: { stored: 'I8', type: 'int8', of: ({ buffer }) => new Int8Array(buffer) },
  6: { stored: 'I32', type: 'int32', of: ({ buffer }) => new Int32Array(buffer) },
  7: { stored: 'I64', type: 'int64', of: ({ buffer }) => new BigInt64Array(buffer) },
  9: { stored: 'BOOL', type: 'bool', of: (bytes) => bytes },
  10: { stored: 'F16', type: 'float16', of: ({ buffer }) => new Uint16Array(buffer) },
  11: { stored: 'F64', type: 'float64', of: ({ buffer }) => new Float64Array(buffer) },
};

/** Of an input of that name. @throws StruPruneError ERR_UNSUPPORTED */
export function kindOfInput(name: string, dataType: number): Kind {
  const kind = KINDS[dataType];
  if (kind) return kind;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `input ${name} of the graph is of a type that this program does not give it`,
    'export the model with tensors of numbers as inputs',
  );
}
