import type { Architecture } from '../model/architecture';
import { familyNamed } from '../model/families';
import { GGUF_NAMES } from '../model/families/names';
import { ROPE_FACTORS } from '../model/from-gguf';
import { llama3Factors } from '../model/rope-factors';
import type {
  ExportDtype,
  ExportPlan,
  ExportRequest,
  GgufEntry,
  PlannedTensor,
} from './export-plan';
import type { Holder } from './export-table';
import { planTensors } from './export-tensors';

/** llama.cpp's numbers for "most of the tensors are of this type". */
const FILE_TYPES: Record<ExportDtype, number> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 };

/** Plan of a GGUF file; the tokenizer's metadata entries are not part of it. */
export function planGguf(request: ExportRequest, holder: Holder): ExportPlan {
  const { pruned, dtype } = request;
  const gguf = familyNamed(pruned.family).gguf!;
  const deci = holder.kind === 'deci';
  const output: Architecture = { ...pruned, biases: holder.biases };
  const tensors = planTensors({
    output,
    source: request.architecture,
    added: request.addedBias ?? {},
    names: GGUF_NAMES,
    matrixDtype: dtype,
    // llama.cpp keeps vectors in F32: its additions and norms take nothing else.
    vectorDtype: 'F32',
    interleavedRope: deci || gguf.interleavedRope,
  });
  const { rope, headDim, slidingWindow, maxPositions } = pruned;
  if (rope?.llama3) {
    const values = llama3Factors(rope.llama3, rope.theta, headDim);
    tensors.push(ropeFactors(values));
  }
  // llama.cpp's llama blocks look back without limit; inside the window both are the same.
  const windowed = slidingWindow > 0 && slidingWindow < maxPositions;
  const context = windowed ? slidingWindow : maxPositions;
  const architecture = deci ? 'deci' : gguf.architectures[0]!;
  return {
    kind: holder.kind,
    format: 'gguf',
    biases: holder.biases,
    tensors,
    config: null,
    metadata: metadataOf(output, architecture, context, dtype),
    files: [],
    notes: windowed
      ? [
          `llama.cpp has no sliding window for this model: the file states a context of ${context} ` +
            'tokens, the window, inside which both compute the same',
        ]
      : [],
  };
}

function ropeFactors(values: Float32Array): PlannedTensor {
  return {
    name: ROPE_FACTORS,
    dtype: 'F32',
    shape: [values.length],
    role: 'ropeFactors',
    block: null,
    fill: 'values',
    values,
  };
}

function metadataOf(
  output: Architecture,
  architecture: string,
  context: number,
  dtype: ExportDtype,
): GgufEntry[] {
  const { blocks, headDim, rope, norm } = output;
  const text = (key: string, value: string): GgufEntry => ({ key, type: 'string', value });
  const size = (key: string, value: number): GgufEntry => ({ key, type: 'uint32', value });
  const real = (key: string, value: number): GgufEntry => ({ key, type: 'float32', value });
  const name = (key: string) => `${architecture}.${key}`;
  // Only deci's loader sizes blocks by these one by one.
  const widths = (key: string, values: number[]): GgufEntry =>
    architecture === 'deci'
      ? { key: name(key), type: 'int32[]', value: values }
      : size(name(key), values[0]!);
  return [
    text('general.architecture', architecture),
    size('general.file_type', FILE_TYPES[dtype]),
    ...(dtype === 'Q8_0' ? [size('general.quantization_version', 2)] : []),
    size(name('vocab_size'), output.vocab),
    size(name('context_length'), context),
    size(name('embedding_length'), output.hidden),
    size(name('block_count'), blocks.length),
    widths(
      'feed_forward_length',
      blocks.map(({ ffn }) => ffn),
    ),
    widths(
      'attention.head_count',
      blocks.map(({ heads }) => heads),
    ),
    widths(
      'attention.head_count_kv',
      blocks.map(({ kvHeads }) => kvHeads),
    ),
    size(name('attention.key_length'), headDim),
    size(name('attention.value_length'), headDim),
    real(name('attention.layer_norm_rms_epsilon'), norm.eps),
    size(name('rope.dimension_count'), headDim),
    real(name('rope.freq_base'), rope!.theta),
    ...(rope!.linearFactor === undefined
      ? []
      : [
          text(name('rope.scaling.type'), 'linear'),
          real(name('rope.scaling.factor'), rope!.linearFactor),
        ]),
  ];
}
