import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { without } from '../json-object';
import type { Architecture, BlockWidths } from '../model/architecture';
import { embeddingWidth } from '../model/axes';
import { inOrder } from '../model/delta-order';
import { familyNamed, OWN_PREFIX } from '../model/families';
import { BIAS_NAMES, type Family, packedNames, stackedNames } from '../model/family';
import { shortest } from '../model/fields';
import { OTHER_TYPES, type OwnConfig, quantisationOf } from '../model/from-config';
import { withoutEmptyBlocks } from '../model/groups';
import type { Rope, Site } from '../model/sublayers';
import { namesInside } from '../model/wrapped';
import { withoutCode } from './code-references';
import { type ExportDtype, type ExportPlan, type ExportRequest, storedAs } from './export-plan';
import { fitsDeciLM, type Holder, takesHeadDim } from './export-table';
import { planTensors } from './export-tensors';
import { copiedTensors, layoutIn, wrappedCode, wrappedConfig } from './export-wrapped';

const OWN_CODE = ['configuration_struprune', 'modeling_struprune'] as const;
const TORCH_DTYPES: Partial<Record<ExportDtype, string>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

const OWN_NOTE = 'the folder carries its own modeling code: load it with trust_remote_code=True';

const DECI_NOTE = `vLLM has a class of its own for such blocks: vllm serve OUT --trust-remote-code --hf-overrides '{"architectures": ["DeciLMForCausalLM"]}'`;

/** Keys of a source's config.json that would contradict the output. */
const STALE = [
  'architectures',
  'dtype',
  'full_attention_interval',
  'layer_types',
  'max_window_layers',
  'model_type',
  'no_rope_layers',
  'no_rope_layer_interval',
  'num_experts',
  'num_local_experts',
  'original_max_position_embeddings',
  'partial_rotary_factor',
  'per_layer_config',
  'pretraining_tp',
  'quantization_config',
  'rope_local_base_freq',
  'rope_parameters',
  'rope_scaling',
  'rope_theta',
  'sliding_window',
  'sliding_window_pattern',
  '_sliding_window_pattern',
  'struprune',
  'torch_dtype',
  'transformers_version',
  'use_sliding_window',
];

/** Plan of a Hugging Face folder. */
export function planHuggingFace(request: ExportRequest, holder: Holder): ExportPlan {
  const { pruned, dtype, takenOver, wrapped } = request;
  const family = familyNamed(pruned.family);
  const own = holder.kind === 'own-modeling';
  const whole = inOrder({ ...pruned, biases: holder.biases }, false);
  const output = withoutEmptyBlocks(whole);
  // transformers stacks the experts of files whose model_type it knows.
  const usual = own ? stackedNames(family.hf.names) : family.hf.names;
  const names = wrapped ? namesInside(usual, layoutIn(wrapped, own)) : usual;
  const tensors = planTensors({
    output: whole,
    source: request.architecture,
    added: request.addedBias ?? {},
    names: takenOver ? packedNames(names) : names,
    stored: storedAs(request),
    takenOver,
    interleavedRope: family.hf.interleavedRope === true,
  });
  const source = withoutCode(request.sourceConfig ?? {}, 'config.json');
  const stock = { ...stockConfig(output, family, own), torch_dtype: TORCH_DTYPES[dtype] };
  const config = wrapped
    ? wrappedConfig(wrapped, source.value, stock, family, own ? ownWidths(output) : null)
    : {
        ...carriedOver(source.value, family),
        ...stock,
        ...tokens(output, source.value),
        ...(own ? ownConfig(output, family) : {}),
        ...(takenOver && { quantization_config: source.value.quantization_config }),
      };
  const generation = withoutCode(
    request.sourceGeneration ?? { _from_model_config: true, ...tokens(output, source.value) },
    'generation_config.json',
  );
  const files = [
    { name: 'generation_config.json', text: `${JSON.stringify(generation.value, null, 2)}\n` },
  ];
  if (own) files.push(...OWN_CODE.map((module) => readOwnCode(module, family)));
  if (own && wrapped) files.push(wrappedCode(wrapped.wrapper));
  return {
    kind: holder.kind,
    format: 'hf',
    biases: holder.biases,
    tensors,
    copied: wrapped
      ? copiedTensors(
          wrapped,
          own,
          tensors.map(({ name }) => name),
        )
      : [],
    config,
    floats: request.sourceFloats ?? [],
    metadata: null,
    files,
    notes: [
      ...(own ? [OWN_NOTE] : []),
      ...(own && !wrapped && fitsDeciLM(output) ? [DECI_NOTE] : []),
      ...(request.sourceConfig?.quantization_config && !takenOver
        ? [`${quantised(request)} become ${dtype}: config.json has no quantization_config`]
        : []),
    ],
    dropped: [...source.dropped, ...generation.dropped],
  };
}

function quantised({ architecture, sourceConfig }: ExportRequest): string {
  const family = familyNamed(architecture.family);
  const stated = quantisationOf(sourceConfig!, family, 'config.json');
  return stated?.method === 'mxfp4' ? 'experts in MXFP4' : 'weights in FP8';
}

function carriedOver(source: Record<string, unknown>, { hf }: Family): Record<string, unknown> {
  const stale = [...STALE, ...Object.keys(hf.older ?? {}), ...(hf.unused ?? [])];
  return without(source, [...stale, hf.keys.attentionBlocks]);
}

function stockConfig(output: Architecture, family: Family, own: boolean): Record<string, unknown> {
  const { keys, modelType, stockClass } = family.hf;
  // What stands for all blocks: the widest one. Our own code sizes every block by its list instead.
  const widest = output.blocks.reduce((a, b) => (b.heads > a.heads ? b : a));
  const config: Record<string, unknown> = {
    model_type: modelType,
    architectures: [stockClass],
    [keys.hidden]: output.hidden,
    ...ffnKeys(output, family),
    [keys.blocks]: output.blocks.length,
    // A stock OPT, whose code ours extends, knows no head_dim but hidden ÷ heads.
    [keys.heads]: own && !takesHeadDim(output) ? output.hidden / output.headDim : widest.heads,
    [keys.vocab]: output.vocab,
    [keys.maxPositions]: output.maxPositions,
    [keys.activation]: output.activation,
    tie_word_embeddings: output.tiedEmbeddings,
  };
  if (keys.kvHeads) config[keys.kvHeads] = widest.kvHeads;
  if (keys.headDim) config[keys.headDim] = output.headDim;
  if (keys.normEps) config[keys.normEps] = output.norm.eps;
  const queryScalar = output.queryScalar ?? output.headDim;
  if (keys.queryScalar) config[keys.queryScalar] = queryScalar;
  if (keys.scoreScale) config[keys.scoreScale] = shortest(queryScalar ** -0.5);
  if (keys.scoreCap) config[keys.scoreCap] = output.scoreCap;
  if (keys.logitCap) config[keys.logitCap] = output.logitCap;
  if (keys.embeddingScale) config[keys.embeddingScale] = output.embeddingScale;
  if (keys.outputScale) config[keys.outputScale] = output.outputScale;
  if (keys.logitDivisor) config[keys.logitDivisor] = shortest(1 / output.logitScale);
  // A block that slides has a window in transformers, if one that never ends.
  const endless = output.globalRope ? output.maxPositions : null;
  if (keys.slidingWindow) config[keys.slidingWindow] = output.slidingWindow || endless;
  if (keys.slides) config[keys.slides] = output.slidingWindow > 0;
  Object.assign(config, typeKeys(output, family), family.hf.written);
  if (output.convolution) {
    config[keys.kernel!] = output.convolution.kernel;
    config[keys.kernelBias!] = output.convolution.bias;
  }
  if (output.delta) {
    const { keyHeads, valueHeads, keyDim, valueDim, kernel } = output.delta;
    config[keys.deltaKeyHeads!] = keyHeads;
    config[keys.deltaValueHeads!] = valueHeads;
    config[keys.deltaKeyDim!] = keyDim;
    config[keys.deltaValueDim!] = valueDim;
    config[keys.deltaKernel!] = kernel;
  }
  if (keys.ffnAdjusts) config[keys.ffnAdjusts] = false;
  if (keys.parallel) config[keys.parallel] = output.parallel;
  if (keys.preNorm) config[keys.preNorm] = output.norm.placement === 'pre';
  if (keys.embeddingWidth) config[keys.embeddingWidth] = embeddingWidth(output);
  for (const name of BIAS_NAMES) {
    const rule = family.biases[name];
    // Our own code sets every bias apart, whatever the stock switch says.
    if (typeof rule === 'string') config[rule] = output.biases[name];
  }
  if (output.rope === null) return config;
  const rope = output.globalRope
    ? keysByType(output)
    : ropeKeys(output.rope, output.headDim, family);
  const all: Record<string, unknown> = { ...config, ...rope };
  if (family.hf.writesOlder) {
    for (const [old, key] of Object.entries(family.hf.older!)) all[old] = all[key];
  }
  return all;
}

/** Widths of FFNs, and which of them are experts. */
function ffnKeys({ blocks, routing, clampedGate }: Architecture, { hf: { keys } }: Family) {
  const widest = (some: BlockWidths[]) => Math.max(...some.map(({ ffn }) => ffn));
  if (routing === null) return { [keys.ffn]: widest(blocks) };
  const dense = blocks.filter(({ experts, ffn }) => !experts && ffn > 0);
  const routed = blocks.filter(({ experts }) => experts);
  return {
    ...(dense.length > 0 && { [keys.ffn]: widest(dense) }),
    [keys.expertWidth ?? keys.ffn]: widest(routed),
    [keys.experts!]: Math.max(...routed.map(({ experts }) => experts!)),
    [keys.topK!]: routing.topK,
    ...(keys.renormalises && { [keys.renormalises]: routing.renormalised }),
    ...(clampedGate && {
      [keys.gateLimit!]: clampedGate.limit,
      [keys.gateAlpha!]: clampedGate.alpha,
    }),
    ...(keys.sharedWidth && { [keys.sharedWidth]: routing.sharedWidth }),
    ...(keys.choiceBias && { [keys.choiceBias]: routing.choiceBias }),
    ...(keys.expertsEvery && { [keys.expertsEvery]: 1 }),
    ...(keys.denseBelow && {
      [keys.denseBelow]: blocks.findIndex(({ experts }) => experts),
    }),
    ...(keys.denseBlocks && {
      [keys.denseBlocks]: [...blocks.keys()].filter((block) => !blocks[block]!.experts),
    }),
  };
}

/** Rope in the keys of transformers 5 (rope_parameters) and of 4 and other readers. */
function ropeKeys(rope: Rope, headDim: number, family?: Family) {
  const scaling = scalingKeys(rope);
  const dims = rope.dims ?? (family?.hf.partialRotary && headDim);
  const partial = dims && { partial_rotary_factor: shareOf(dims, headDim) };
  const theta = { rope_theta: rope.theta };
  return {
    ...theta,
    ...partial,
    // Outside of the stretch, as Phi-3 has it.
    ...(rope.longrope && {
      original_max_position_embeddings: rope.longrope.originalMaxPositions,
    }),
    rope_scaling: scaling,
    rope_parameters: { ...(scaling ?? { rope_type: 'default' }), ...theta, ...partial },
  };
}

function scalingKeys({ llama3, linearFactor, dynamicFactor, yarn, longrope }: Rope) {
  if (dynamicFactor) return { rope_type: 'dynamic', factor: dynamicFactor };
  if (yarn) {
    return {
      rope_type: 'yarn',
      factor: yarn.factor,
      original_max_position_embeddings: yarn.originalMaxPositions,
      beta_fast: yarn.betaFast,
      beta_slow: yarn.betaSlow,
      truncate: yarn.truncate,
      attention_factor: yarn.attentionFactor,
      // llama.cpp's converter takes the factor from the first two.
      ...(yarn.growth !== undefined && {
        ...(yarn.attentionFactor === 1 && { mscale: 1, mscale_all_dim: 1 }),
        llama_4_scaling_beta: yarn.growth,
      }),
    };
  }
  if (longrope) {
    return {
      rope_type: 'longrope',
      short_factor: longrope.short,
      long_factor: longrope.long,
      attention_factor: longrope.attentionFactor,
      original_max_position_embeddings: longrope.originalMaxPositions,
    };
  }
  if (llama3) {
    return {
      rope_type: 'llama3',
      factor: llama3.factor,
      low_freq_factor: llama3.lowFreqFactor,
      high_freq_factor: llama3.highFreqFactor,
      original_max_position_embeddings: llama3.originalMaxPositions,
    };
  }
  return linearFactor === undefined ? null : { rope_type: 'linear', factor: linearFactor };
}

/** A share of a head whose product with it, cut to a whole number, is `dims`. */
function shareOf(dims: number, headDim: number): number {
  const share = dims / headDim;
  return Math.floor(share * headDim) === dims ? share : (dims + 0.5) / headDim;
}

/** Which blocks slide, and which have no rope. */
function typeKeys({ blocks, slidingWindow, globalRope }: Architecture, family: Family) {
  // Where global blocks have a rope of their own, the others have theirs without a window too.
  const { keys, blockType } = family.hf;
  const { globalBelow } = keys;
  const differ = slidingWindow > 0 || globalRope !== null;
  const slides = blocks.map(({ global }) => differ && !global);
  const types = blocks.map(({ mixer }, block) => {
    if (blockType) return blockType;
    if (mixer) return OTHER_TYPES[mixer];
    return slides[block] ? 'sliding_attention' : 'full_attention';
  });
  const first = slides.indexOf(true);
  return {
    ...((family.mixesWindows || family.otherMixer || blockType) && { layer_types: types }),
    // For readers that do not know the list.
    ...(globalBelow && { [globalBelow]: first === -1 ? blocks.length : first }),
    ...(family.unturnedEvery && {
      no_rope_layers: blocks.map(({ unturned }) => (unturned ? 0 : 1)),
    }),
  };
}

/** The same where global blocks have a rope of their own. */
function keysByType({ headDim, rope, globalRope }: Architecture): Record<string, unknown> {
  const global = ropeKeys(globalRope!, headDim);
  const sliding = ropeKeys(rope!, headDim);
  return {
    ...global,
    rope_local_base_freq: sliding.rope_theta,
    rope_parameters: {
      full_attention: global.rope_parameters,
      sliding_attention: sliding.rope_parameters,
    },
  };
}

/** Token ids; a source's list of end tokens stays a list. */
function tokens(output: Architecture, source: Record<string, unknown>): Record<string, unknown> {
  return {
    bos_token_id: output.bosTokenId,
    eos_token_id: source.eos_token_id ?? output.eosTokenId,
    pad_token_id: source.pad_token_id ?? null,
  };
}

function ownWidths({ family, blocks, routing, headDim, biases }: Architecture): OwnConfig {
  const { keys } = familyNamed(family).hf;
  return {
    intermediate_sizes: blocks.map(({ ffn }) => ffn),
    attention_heads: blocks.map(({ heads }) => heads),
    key_value_heads: blocks.map(({ kvHeads }) => kvHeads),
    ...(routing && {
      experts: blocks.map(({ experts = 0 }) => experts),
      expert_keys: [keys.experts!, keys.expertWidth ?? keys.ffn],
    }),
    head_dim: headDim,
    biases,
  };
}

function ownConfig(output: Architecture, family: Family): Record<string, unknown> {
  const model = `Struprune${family.hf.stockClass}`;
  return {
    model_type: OWN_PREFIX + family.hf.modelType,
    architectures: [model],
    auto_map: {
      AutoConfig: `configuration_struprune.Struprune${baseOf(family)}Config`,
      AutoModel: `modeling_struprune.Struprune${baseOf(family)}Model`,
      AutoModelForCausalLM: `modeling_struprune.${model}`,
    },
    head_dim: output.headDim,
    per_layer_config: perLayer(output, family),
    struprune: ownWidths(output),
  };
}

/** Every block's widths under the stock keys, by its number: what transformers, and runtimes built on it, size caches by. */
function perLayer({ blocks }: Architecture, { hf }: Family): Record<string, object> {
  const digits = String(blocks.length - 1).length;
  const { ffn, heads, kvHeads, experts, expertWidth = ffn } = hf.keys;
  const entries = blocks.map((block, index) => [
    String(index).padStart(digits, '0'),
    {
      ...(block.ffn > 0 && { [block.experts ? expertWidth : ffn]: block.ffn }),
      ...(block.experts && { [experts!]: block.experts }),
      ...(block.heads > 0 && { [heads]: block.heads }),
      ...(block.heads > 0 && kvHeads && { [kvHeads]: block.kvHeads }),
    },
  ]);
  return Object.fromEntries(entries);
}

/** Written for Llama; other families have other names. Naming one family alone, it loads where the others are not known. */
function readOwnCode(module: string, family: Family): { name: string; text: string } {
  const name = `${module}.py`;
  const text = readFileSync(join(__dirname, 'modeling', name), 'utf8')
    .replace('head_dim**-0.5', scaleOf(family))
    .replace('attention=("input_layernorm",)', `attention=${normsOf(family, 'attention')}`)
    .replace('ffn=("post_attention_layernorm",)', `ffn=${normsOf(family, 'ffn')}`)
    .replaceAll('LlamaForCausalLM', family.hf.stockClass)
    .replaceAll('Llama', baseOf(family))
    .replaceAll(`${OWN_PREFIX}llama`, OWN_PREFIX + family.hf.modelType);
  return { name, text };
}

/** The norms of a sublayer by their attributes of a decoder layer, as a tuple in Python. */
function normsOf({ hf }: Family, site: Site): string {
  const templates = (['norm', 'streamNorm', 'outNorm'] as const).flatMap(
    (part) => hf.names.block[`${site}.${part}`] ?? [],
  );
  const names = templates.map((template) => /([^.]+)\.weight$/.exec(template)![1]);
  return `(${[...new Set(names)].map((name) => `"${name}",`).join(' ')})`;
}

/** `Llama` of `LlamaForCausalLM`. */
function baseOf({ hf }: Family): string {
  return hf.base ?? hf.stockClass.replace('ForCausalLM', '');
}

/** What attention scores are multiplied by, in Python. */
function scaleOf({ hf }: Family): string {
  const { queryScalar, scoreScale } = hf.keys;
  if (scoreScale) return `config.${scoreScale}`;
  return queryScalar ? `config.${queryScalar}**-0.5` : 'head_dim**-0.5';
}
