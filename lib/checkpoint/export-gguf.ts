import { StruPruneError } from '../errors';
import type { Architecture } from '../model/architecture';
import { inOrder } from '../model/delta-order';
import { familyNamed } from '../model/families';
import { GGUF_NAMES, ggufNames } from '../model/families/names';
import type { GgufDescription, TensorNames } from '../model/family';
import { fileTensors, WHOLE } from '../model/file-tensors';
import { withoutEmptyBlocks } from '../model/groups';
import { type GgufEntry, isQuantised } from './container';
import {
  type ExportDtype,
  type ExportPlan,
  type ExportRequest,
  type PlannedTensor,
  storedAs,
} from './export-plan';
import type { Holder } from './export-table';
import { planTensors } from './export-tensors';
import { EPSILONS, LONGROPE_FACTORS, ROPE_FACTORS, SIGMOID_GATING } from './from-gguf';
import { AS_FOLDER } from './output-path';
import { isReadable, llama3Factors } from './rope-tables';

/** llama.cpp's numbers for "most of the tensors are of this type". */
const FILE_TYPES: Record<ExportDtype, number> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  BF16: 32,
};

/** Plan of a GGUF file; the tokenizer's metadata entries are not part of it. */
export function planGguf(request: ExportRequest, holder: Holder): ExportPlan {
  const { pruned } = request;
  const gguf = familyNamed(pruned.family).gguf!;
  const deci = holder.kind === 'deci';
  const architecture =
    holder.kind === 'deci' || holder.kind === 'openelm' ? holder.kind : gguf.architectures[0]!;
  const names = deci ? GGUF_NAMES : ggufNames(gguf, architecture);
  const output = inOrder({ ...pruned, biases: holder.biases }, gguf.tilesValueHeads === true);
  if (request.takenOver) requireOneType(output, names, request.takenOver);
  const tensors = planTensors({
    output,
    source: request.architecture,
    added: request.addedBias ?? {},
    names,
    stored: storedAs(request),
    takenOver: request.takenOver,
    interleavedRope: deci || gguf.interleavedRope,
  });
  const { rope, globalRope, headDim, slidingWindow, maxPositions } = pruned;
  if (rope?.llama3) {
    const values = llama3Factors(rope.llama3, rope.theta, headDim);
    if (!isReadable(values, rope.theta, headDim)) {
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        "GGUF holds Llama 3's rope scaling as a table, from which these parameters cannot be read again",
        AS_FOLDER,
      );
    }
    tensors.push(ropeFactors(ROPE_FACTORS, values));
  }
  if (rope?.longrope) {
    for (const length of ['short', 'long'] as const) {
      const values = Float32Array.from(rope.longrope[length]);
      tensors.push(ropeFactors(LONGROPE_FACTORS[length], values));
    }
  }
  // llama.cpp's llama blocks look back without limit; inside the window both are the same.
  const slides = withoutEmptyBlocks(output).blocks.some(({ global }) => !global);
  const windowed = !gguf.slides && slides && slidingWindow > 0 && slidingWindow < maxPositions;
  const context = windowed ? slidingWindow : maxPositions;
  return {
    kind: holder.kind,
    format: 'gguf',
    biases: holder.biases,
    tensors,
    copied: [],
    config: null,
    floats: [],
    metadata: {
      ...metadataOf(withoutEmptyBlocks(output), architecture, context, gguf),
      ...typeMetadata(request, tensors),
    },
    files: [],
    dropped: [],
    notes: [
      ...(request.wrapped ? [textNote(request.wrapped)] : []),
      ...(windowed ? [windowNote(context)] : []),
      ...((globalRope ?? rope)?.dynamicFactor === undefined ? [] : [DYNAMIC_NOTE]),
    ],
  };
}

const textNote = ({ wrapper }: NonNullable<ExportRequest['wrapped']>) =>
  wrapper.axes
    ? "the file has the text model alone, and reads text: llama.cpp's architecture of its family knows no positions of images"
    : 'the file has the text model alone: llama.cpp takes what sees images from another one, the mmproj file of the source';
const windowNote = (context: number) =>
  `llama.cpp has no sliding window for this model: the file states a context of ${context} ` +
  'tokens, the window, inside which both compute the same';
const DYNAMIC_NOTE =
  'llama.cpp has no dynamic rope scaling: the file states none, which is the same within its context';

function ropeFactors(name: string, values: Float32Array): PlannedTensor {
  return {
    name,
    dtype: 'F32',
    shape: [values.length],
    ...WHOLE,
    block: null,
    parts: [{ role: 'ropeFactors', shape: [values.length], fill: 'values', values }],
  };
}

function metadataOf(
  output: Architecture,
  architecture: string,
  context: number,
  { slides, caps, multipliers, experts, parallel, ropeSections }: GgufDescription,
): Record<string, GgufEntry> {
  const { blocks, headDim, norm } = output;
  const rope = output.globalRope ?? output.rope;
  const text = (value: string): GgufEntry => ({ type: 'string', value });
  const size = (value: number): GgufEntry => ({ type: 'uint32', value });
  const real = (value: number): GgufEntry => ({ type: 'float32', value });
  const list = (value: number[]): GgufEntry => ({ type: 'array:int32', value });
  // Only these loaders size blocks by these one by one.
  const eachBlock = architecture === 'deci' || architecture === 'openelm';
  const widths = (value: number[]): GgufEntry => (eachBlock ? list(value) : size(value[0]!));
  const own: Record<string, GgufEntry> = {
    vocab_size: size(output.vocab),
    context_length: size(context),
    embedding_length: size(output.hidden),
    block_count: size(blocks.length),
    feed_forward_length: widths(blocks.map(({ ffn }) => ffn)),
    'attention.head_count': widths(mixing(output, 'heads')),
    'attention.head_count_kv': output.convolution
      ? list(blocks.map(({ kvHeads }) => kvHeads))
      : widths(mixing(output, 'kvHeads')),
    'attention.key_length': size(headDim),
    'attention.value_length': size(headDim),
    [EPSILONS[norm.kind]]: real(norm.eps),
  };
  const { routing } = output;
  if (routing) {
    const first = blocks.findIndex((block) => block.experts);
    own.expert_count = size(blocks[first]!.experts!);
    own.expert_used_count = size(routing.topK);
    if (experts?.ownWidth) own.expert_feed_forward_length = size(blocks[first]!.ffn);
    if (experts?.denseBelow) own.leading_dense_block_count = size(first);
    if (experts?.bySigmoid) own.expert_gating_func = size(SIGMOID_GATING);
    if (routing.sharedWidth) own.expert_shared_feed_forward_length = size(routing.sharedWidth);
  }
  if (output.convolution) own['shortconv.l_cache'] = size(output.convolution.kernel);
  if (output.delta) {
    const { keyHeads, valueHeads, keyDim, valueDim, kernel } = output.delta;
    own['ssm.conv_kernel'] = size(kernel);
    own['ssm.state_size'] = size(keyDim);
    own['ssm.group_count'] = size(keyHeads);
    own['ssm.time_step_rank'] = size(valueHeads);
    own['ssm.inner_size'] = size(valueHeads * valueDim);
    own.full_attention_interval = size(blocks.findIndex(({ mixer }) => !mixer) + 1);
  }
  if (rope) {
    own['rope.dimension_count'] = size(rope.dims ?? headDim);
    own['rope.freq_base'] = real(rope.theta);
    if (ropeSections) own['rope.dimension_sections'] = list(sectionsOf((rope.dims ?? headDim) / 2));
  }
  if (parallel) own.use_parallel_residual = { type: 'bool', value: output.parallel };
  if (slides) own['attention.sliding_window'] = size(output.slidingWindow || context);
  if (rope?.linearFactor !== undefined) {
    own['rope.scaling.type'] = text('linear');
    own['rope.scaling.factor'] = real(rope.linearFactor);
  }
  if (rope?.yarn) {
    own['rope.scaling.type'] = text('yarn');
    own['rope.scaling.factor'] = real(rope.yarn.factor);
    own['rope.scaling.original_context_length'] = size(rope.yarn.originalMaxPositions);
    if (rope.yarn.growth !== undefined) {
      // What goes with the stretch is divided by this.
      own['rope.scaling.yarn_log_multiplier'] = real(1);
      own['attention.temperature_scale'] = real(rope.yarn.growth);
    }
  }
  if (caps) {
    own.attn_logit_softcapping = real(output.scoreCap!);
    own.final_logit_softcapping = real(output.logitCap!);
  }
  if (multipliers) {
    own['attention.scale'] = real((output.queryScalar ?? headDim) ** -0.5);
    own.embedding_scale = real(output.embeddingScale);
    own.residual_scale = real(output.outputScale);
    own.logit_scale = real(1 / output.logitScale);
  }
  if (rope?.longrope) {
    own['rope.scaling.type'] = text('longrope');
    own['rope.scaling.original_context_length'] = size(rope.longrope.originalMaxPositions);
    own['rope.scaling.attn_factor'] = real(rope.longrope.attentionFactor);
  }
  return {
    'general.architecture': text(architecture),
    ...Object.fromEntries(
      Object.entries(own).map(([key, entry]) => [`${architecture}.${key}`, entry]),
    ),
  };
}

/** Parts of one tensor have one type, and not every source has theirs so: `Q4_K_M` has more bits for some values. */
function requireOneType(
  output: Architecture,
  names: TensorNames,
  { source, roles }: NonNullable<ExportRequest['takenOver']>,
): void {
  for (const block of output.blocks.keys()) {
    for (const { parts } of fileTensors(output, names, block)) {
      const types = new Set(
        parts
          .filter(({ role }) => roles.includes(role))
          .map(({ role }) => source.blocks[block]?.[role]?.dtype),
      );
      if (types.size < 2) continue;
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `block ${block} has ${[...types].join(' and ')} in maps that this file joins`,
        'give --dtype: all matrices then have it; or prune with --allocation uniform',
      );
    }
  }
}

/** Where some blocks have no attention but another mixer, that of the others stands for all. */
function mixing({ blocks }: Architecture, what: 'heads' | 'kvHeads'): number[] {
  const counts = blocks.map((block) => block[what]);
  return blocks.some(({ mixer }) => mixer) ? [Math.max(...counts)] : counts;
}

/** Pairs of a head that turn by time, height and width in turn, and by nothing else, as Qwen3.5's own [11, 11, 10]. */
function sectionsOf(pairs: number): number[] {
  return [...[2, 1, 0].map((behind) => Math.floor((pairs + behind) / 3)), 0];
}

/** Of what most matrices are, as llama.cpp numbers it; the version is there where any is quantised. */
function typeMetadata(
  { dtype, takenOver }: ExportRequest,
  tensors: readonly PlannedTensor[],
): Record<string, GgufEntry> {
  const own = takenOver?.source.config['general.file_type'] as GgufEntry | undefined;
  const plain: GgufEntry = { type: 'uint32', value: FILE_TYPES[dtype] };
  const quantised = tensors.some((tensor) => isQuantised(tensor.dtype));
  return {
    'general.file_type': own?.type === 'uint32' ? own : plain,
    ...(quantised ? { 'general.quantization_version': { type: 'uint32', value: 2 } } : {}),
  };
}
