import { StruPruneError } from '../errors';
import type { Architecture, Rope } from './architecture';
import { familyOfGguf } from './families';
import { GGUF_NAMES } from './families/names';
import { BIAS_NAMES, type BiasName, blockTensorName, type Family } from './family';
import { Fields } from './fields';
import { zipWidths } from './from-config';
import { llama3FromFactors, stretchesNothing } from './rope-factors';
import type { BlockRole } from './sublayers';

/** What the mapping needs of an opened GGUF file beside its metadata. */
export interface GgufTensors {
  has(name: string): boolean;
  /** Row-major shape; undefined when there is no such tensor. */
  shape(name: string): readonly number[] | undefined;
  /** Values of a small F32 vector, rope_freqs.weight. */
  vector(name: string): Float32Array;
}

/** Tensor with the divisors of Llama 3's rotary frequencies. */
export const ROPE_FACTORS = 'rope_freqs.weight';

const BIAS_ROLES: Record<BiasName, BlockRole> = {
  qkv: 'attention.qBias',
  o: 'attention.outBias',
  ffnIn: 'ffn.upBias',
  down: 'ffn.outBias',
};

/**
 * The architecture that a GGUF's metadata and tensor names describe. Biases and tied embeddings are told
 * by the tensors that are there, as llama.cpp does.
 * @param metadata values by key, without their types
 * @throws StruPruneError ERR_UNSUPPORTED, ERR_CHECKPOINT
 */
export function architectureFromGguf(
  metadata: Record<string, unknown>,
  tensors: GgufTensors,
  where: string,
): { architecture: Architecture; family: Family } {
  const fields = new Fields(metadata, where);
  const prefix = fields.text('general.architecture');
  // An unknown architecture is said before its keys are missed.
  familyOfGguf(prefix, false);
  const key = (name: string) => `${prefix}.${name}`;
  const maxPositions = fields.size(key('context_length'));
  const window = fields.optionalSize(key('attention.sliding_window')) ?? 0;
  const slidingWindow = window < maxPositions ? window : 0;
  const family = familyOfGguf(prefix, slidingWindow > 0);
  if (Number(fields.raw(key('expert_count')) ?? 0) > 0) {
    throw unsupported(where, 'a mixture of experts', 'use a dense model');
  }
  const hidden = fields.size(key('embedding_length'));
  const count = fields.size(key('block_count'));
  const headCounts = fields.perBlock(key('attention.head_count'), count, 0);
  const kvKey = key('attention.head_count_kv');
  const blocks = zipWidths(
    fields.perBlock(key('feed_forward_length'), count, 0),
    headCounts,
    fields.raw(kvKey) === undefined ? headCounts : fields.perBlock(kvKey, count, 0),
    () => fields.bad(kvKey, 'must divide the head count'),
  );
  if (blocks.some(({ ffn, heads }) => ffn === 0 || heads === 0)) {
    throw unsupported(
      where,
      'a block without attention or FFN',
      'use a model whose blocks are whole',
    );
  }
  const headDim = fields.optionalSize(key('attention.key_length')) ?? hidden / headCounts[0]!;
  requireHeadDim(fields, key, headDim, where);
  const vocab = tensors.shape(GGUF_NAMES.model.embedding!)?.[0];
  if (vocab === undefined) {
    throw fields.bad(GGUF_NAMES.model.embedding!, 'is missing');
  }
  const architecture: Architecture = {
    family: family.name,
    hidden,
    vocab,
    headDim,
    blocks,
    maxPositions,
    norm: {
      kind: family.norm,
      eps: shortest(fields.positive(key('attention.layer_norm_rms_epsilon'))),
      placement: 'pre',
    },
    finalNorm: true,
    rope: ropeFromGguf(fields, key, tensors, headDim, where),
    positionOffset: family.positionOffset,
    slidingWindow,
    qkNorm: family.qkNorm,
    activation: 'silu',
    gated: family.gated,
    biases: biasesOf(tensors),
    tiedEmbeddings: !tensors.has(GGUF_NAMES.model.head!),
    embeddingProjection: null,
    bosTokenId: fields.tokenId('tokenizer.ggml.bos_token_id'),
    eosTokenId: fields.tokenId('tokenizer.ggml.eos_token_id'),
  };
  return { architecture, family };
}

function requireHeadDim(
  fields: Fields,
  key: (name: string) => string,
  headDim: number,
  where: string,
): void {
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw fields.bad(key('attention.key_length'), `gives no usable head width (${headDim})`);
  }
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    const width = fields.optionalSize(key(name)) ?? headDim;
    if (width !== headDim) {
      throw unsupported(
        where,
        `${name} ${width} beside a head width of ${headDim}`,
        'use another model',
      );
    }
  }
}

function biasesOf(tensors: GgufTensors): Architecture['biases'] {
  const present = BIAS_NAMES.map((name) => [
    name,
    tensors.has(blockTensorName(GGUF_NAMES, BIAS_ROLES[name], 0)),
  ]);
  return Object.fromEntries(present) as Architecture['biases'];
}

function ropeFromGguf(
  fields: Fields,
  key: (name: string) => string,
  tensors: GgufTensors,
  headDim: number,
  where: string,
): Rope {
  const base = key('rope.freq_base');
  const theta = fields.raw(base) === undefined ? 10000 : shortest(fields.positive(base));
  const rope: Rope = { theta };
  // As llama.cpp reads them: linear where no type is given, and the factor by its name of 2023 where the other is not.
  const type = fields.raw(key('rope.scaling.type')) ?? 'linear';
  const factor = ['rope.scaling.factor', 'rope.scale_linear']
    .map(key)
    .find((name) => fields.raw(name) !== undefined && fields.raw(name) !== 0);
  if (type === 'linear') {
    if (factor !== undefined) rope.linearFactor = shortest(fields.positive(factor));
  } else if (type !== 'none') {
    throw unsupported(
      where,
      `rope scaling type "${String(type)}"`,
      'use a model with rope scaling none, linear or Llama 3',
    );
  }
  if (tensors.has(ROPE_FACTORS)) {
    const table = tensors.vector(ROPE_FACTORS);
    const llama3 = llama3FromFactors(table, theta, headDim);
    if (llama3 !== null) rope.llama3 = llama3;
    else if (!stretchesNothing(table, headDim)) {
      throw unsupported(
        where,
        `${ROPE_FACTORS} of another rule than Llama 3's`,
        'use another model',
      );
    }
  }
  return rope;
}

/** The shortest decimal with this float32 value: GGUF's 1e-5 reads 9.9999997e-6 otherwise. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}

function unsupported(where: string, what: string, mend: string): StruPruneError {
  return new StruPruneError('ERR_UNSUPPORTED', `${where}: ${what} is not supported`, mend);
}
