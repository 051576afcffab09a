import { StruPruneError } from '../errors';
import type { Architecture, BlockWidths, Rope } from './architecture';
import { familyOfModelType, OWN_PREFIX } from './families';
import { BIAS_NAMES, type Family } from './family';
import { Fields } from './fields';

/** What our own modeling code reads beside the stock keys (lib/checkpoint/modeling). */
export interface OwnConfig {
  intermediate_sizes: number[];
  attention_heads: number[];
  key_value_heads: number[];
  head_dim: number;
  biases: Architecture['biases'];
}

const ACTIVATIONS: Record<string, Architecture['activation']> = {
  silu: 'silu',
  swish: 'silu',
  relu: 'relu',
  gelu: 'gelu',
};

/**
 * The architecture that a config.json describes.
 * @param config parsed config.json, of a stock class or of our own modeling code
 * @param where names the file in messages
 * @throws StruPruneError ERR_UNSUPPORTED for families and variants that this program does not hold,
 *   ERR_CHECKPOINT for keys that are missing or cannot be
 */
export function architectureFromConfig(
  config: Record<string, unknown>,
  where: string,
): Architecture {
  const family = familyOfModelType(new Fields(config, where).text('model_type'));
  const { keys, defaults } = family.hf;
  const fields = new Fields({ ...defaults, ...config }, where);
  refuseVariants(family, fields, where);

  const own = ownConfig(config, where);
  const hidden = fields.size(keys.hidden);
  const count = fields.size(keys.blocks);
  const widths = own ? ownWidths(own, count) : uniformWidths(family, fields, count);
  const headDim = own ? own.size('head_dim') : stockHeadDim(family, fields, hidden, widths, where);
  const maxPositions = fields.size(keys.maxPositions);
  const preNorm = keys.preNorm === undefined || fields.flag(keys.preNorm);
  const embedded = keys.embeddingWidth && fields.optionalSize(keys.embeddingWidth);
  return {
    family: family.name,
    hidden,
    vocab: fields.size(keys.vocab),
    headDim,
    blocks: widths,
    maxPositions,
    norm: {
      kind: family.norm,
      eps: keys.normEps ? fields.positive(keys.normEps) : 1e-5,
      placement: preNorm ? 'pre' : 'post',
    },
    finalNorm: preNorm,
    rope: family.positionOffset === null ? ropeFromConfig(fields, maxPositions, where) : null,
    positionOffset: family.positionOffset,
    slidingWindow: (keys.slidingWindow && fields.optionalSize(keys.slidingWindow)) || 0,
    qkNorm: family.qkNorm,
    activation: activation(fields.text(keys.activation), where),
    gated: family.gated,
    biases: own ? ownBiases(own) : stockBiases(family, fields),
    tiedEmbeddings: fields.flag('tie_word_embeddings'),
    embeddingProjection: embedded && embedded !== hidden ? embedded : null,
    bosTokenId: fields.tokenId('bos_token_id'),
    eosTokenId: fields.tokenId('eos_token_id'),
  };
}

function refuseVariants(family: Family, fields: Fields, where: string): void {
  const refuse = (what: string, mend: string) => {
    throw new StruPruneError('ERR_UNSUPPORTED', `${where}: ${what} is not supported`, mend);
  };
  const dense = 'use a dense model of this family';
  if (fields.raw('quantization_config')) {
    refuse('quantization_config (quantised weights)', 'use the unquantised checkpoint');
  }
  for (const key of ['num_local_experts', 'num_experts', 'n_routed_experts']) {
    if (Number(fields.raw(key) ?? 0) > 0) refuse(`${key} (a mixture of experts)`, dense);
  }
  const partial = fields.raw('partial_rotary_factor');
  if (partial !== undefined && partial !== null && partial !== 1) {
    refuse(`partial_rotary_factor ${String(partial)}`, dense);
  }
  const layerTypes = fields.raw('layer_types');
  if (Array.isArray(layerTypes)) {
    const odd = layerTypes.find((type) => type !== 'full_attention');
    if (odd !== undefined) refuse(`layer_types with "${String(odd)}"`, dense);
  }
  for (const [key, allowed] of Object.entries(family.hf.only)) {
    const value = fields.raw(key);
    if (!allowed.includes(value)) {
      refuse(`${family.name} with ${key} = ${JSON.stringify(value)}`, dense);
    }
  }
}

function ownConfig(config: Record<string, unknown>, where: string): Fields | null {
  if (!String(config.model_type).startsWith(OWN_PREFIX)) return null;
  const own = config.struprune;
  if (typeof own !== 'object' || own === null) {
    throw new Fields(config, where).bad('struprune', 'must hold the widths of every block');
  }
  return new Fields(own as Record<string, unknown>, `${where}: struprune`);
}

function ownWidths(own: Fields, count: number): BlockWidths[] {
  const ffn = own.perBlock('intermediate_sizes', count, 1);
  const heads = own.perBlock('attention_heads', count, 1);
  const kvHeads = own.perBlock('key_value_heads', count, 1);
  return zipWidths(ffn, heads, kvHeads, () => own.bad('attention_heads', HEADS_MISMATCH));
}

const HEADS_MISMATCH = 'must be multiples of the key-value heads';

function uniformWidths(family: Family, fields: Fields, count: number): BlockWidths[] {
  const { keys } = family.hf;
  const heads = fields.size(keys.heads);
  const kvHeads = (keys.kvHeads && fields.optionalSize(keys.kvHeads)) || heads;
  const every = (value: number) => new Array<number>(count).fill(value);
  return zipWidths(every(fields.size(keys.ffn)), every(heads), every(kvHeads), () =>
    fields.bad(keys.heads, HEADS_MISMATCH),
  );
}

/** One entry a block; `mismatch` makes the error for heads that KV heads do not divide. */
export function zipWidths(
  ffn: number[],
  heads: number[],
  kvHeads: number[],
  mismatch: () => StruPruneError,
): BlockWidths[] {
  return ffn.map((width, block) => {
    const [queries, groups] = [heads[block]!, kvHeads[block]!];
    if (groups === 0 ? queries !== 0 : queries % groups !== 0) throw mismatch();
    return { ffn: width, heads: queries, kvHeads: groups };
  });
}

function stockHeadDim(
  family: Family,
  fields: Fields,
  hidden: number,
  widths: BlockWidths[],
  where: string,
): number {
  const { keys } = family.hf;
  const headDim = (keys.headDim && fields.optionalSize(keys.headDim)) || hidden / widths[0]!.heads;
  if (!Number.isInteger(headDim) || (family.positionOffset === null && headDim % 2 !== 0)) {
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${where}: ${hidden} hidden ÷ ${widths[0]!.heads} heads gives no usable head width`,
      'set head_dim in config.json if the model has one of its own',
    );
  }
  return headDim;
}

function stockBiases(family: Family, fields: Fields): Architecture['biases'] {
  const value = (rule: boolean | string) => (typeof rule === 'string' ? fields.flag(rule) : rule);
  const { qkv, o, ffnIn, down } = family.biases;
  return { qkv: value(qkv), o: value(o), ffnIn: value(ffnIn), down: value(down) };
}

function ownBiases(own: Fields): Architecture['biases'] {
  const biases = own.raw('biases');
  const flags = new Fields((biases ?? {}) as Record<string, unknown>, 'struprune.biases');
  return Object.fromEntries(
    BIAS_NAMES.map((name) => [name, flags.flag(name)]),
  ) as unknown as Architecture['biases'];
}

function activation(name: string, where: string): Architecture['activation'] {
  const known = ACTIVATIONS[name];
  if (known === undefined) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${where}: activation "${name}" is not supported`,
      `use a model with one of ${Object.keys(ACTIVATIONS).join(', ')}`,
    );
  }
  return known;
}

/** Reads transformers 5's rope_parameters and 4's rope_theta with rope_scaling. */
function ropeFromConfig(fields: Fields, maxPositions: number, where: string): Rope {
  const stated = fields.raw('rope_scaling') ?? fields.raw('rope_parameters') ?? {};
  const scaling = new Fields(stated as Record<string, unknown>, `${where}: rope scaling`);
  const theta =
    scaling.raw('rope_theta') !== undefined
      ? scaling.positive('rope_theta')
      : fields.raw('rope_theta') !== undefined
        ? fields.positive('rope_theta')
        : 10000;
  const type = scaling.raw('rope_type') ?? scaling.raw('type') ?? 'default';
  switch (type) {
    case 'default':
      return { theta };
    case 'linear':
      return { theta, linearFactor: scaling.positive('factor') };
    case 'llama3':
      return {
        theta,
        llama3: {
          factor: scaling.positive('factor'),
          lowFreqFactor: scaling.positive('low_freq_factor'),
          highFreqFactor: scaling.positive('high_freq_factor'),
          originalMaxPositions:
            scaling.optionalSize('original_max_position_embeddings') ?? maxPositions,
        },
      };
    default:
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `${where}: rope scaling type "${String(type)}" is not supported`,
        'use a model with rope type default, linear or llama3',
      );
  }
}
