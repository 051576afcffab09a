/** A pruned text model inside of a model of text and images, in a folder: what is around it goes as it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StruPruneError } from '../errors';
import { without } from '../json-object';
import type { Wrapped } from '../model/architecture';
import { OWN_PREFIX } from '../model/families';
import type { Family } from '../model/family';
import type { OwnConfig } from '../model/from-config';
import type { Wrapper } from '../model/wrappers';

type Config = Record<string, unknown>;

/** A tensor that is copied as it is stored. */
export interface CopiedTensor {
  /** In the output. */
  name: string;
  /** As its file states it: of any type. */
  dtype: string;
  shape: number[];
  bytes: number;
  /** Index into the source's files. */
  file: number;
  offset: number;
}

/** Our own modeling code, of which transformers renames no tensors, has them as they are in its memory. */
export function layoutIn({ wrapper, layout }: Wrapped, own: boolean) {
  return own ? wrapper.layouts[0]! : layout;
}

/**
 * What is not the text model's.
 * @param text names of the others
 * @throws StruPruneError ERR_CHECKPOINT where two would have one name
 */
export function copiedTensors(
  { layout, others }: Wrapped,
  own: boolean,
  text: readonly string[],
): CopiedTensor[] {
  const renamed = (name: string) => {
    const moved = own && layout.moved?.find(([from]) => name.startsWith(from));
    return moved ? moved[1] + name.slice(moved[0].length) : name;
  };
  const taken = new Set(text);
  return others.map(({ name: before, dtype, shape, bytes, file, offset }) => {
    const name = renamed(before);
    if (taken.has(name)) {
      const what = `${before} of the source and another tensor would both be ${name} in the output`;
      throw new StruPruneError('ERR_CHECKPOINT', what, 'fetch or convert the checkpoint again');
    }
    taken.add(name);
    return { name, dtype, shape, bytes, file, offset };
  });
}

const DTYPE_KEYS = ['dtype', 'torch_dtype'];
/** Of the source's own configuration. */
const STALE = [...DTYPE_KEYS, 'struprune', 'transformers_version'];

/**
 * config.json: what pruning changes is changed, all else stays.
 * @param text as a configuration of the family alone has it
 * @param own widths of the blocks, where our own modeling code has them: the stock keys then stay
 */
export function wrappedConfig(
  { wrapper, flat }: Wrapped,
  source: Config,
  text: Config,
  family: Family,
  own: OwnConfig | null,
): Config {
  const { tie_word_embeddings, torch_dtype } = text;
  const inside = (source.text_config ?? {}) as Config;
  const changed = {
    ...asNamed(only(text, changedKeys(family, own !== null)), inside),
    tie_word_embeddings,
  };
  const around = {
    ...without(source, STALE),
    model_type: wrapper.modelType,
    architectures: [wrapper.stockClass],
    tie_word_embeddings,
    torch_dtype,
    ...(own && ownConfig(wrapper, own)),
  };
  if (flat) return { ...around, ...changed };
  const inner = without(inside, STALE);
  // Some versions of transformers wrote keys of the text model in both places.
  const twice = only(changed, new Set(Object.keys(source)));
  return { ...around, ...twice, text_config: { ...inner, ...changed, torch_dtype } };
}

/** The number of experts by the one of its two names that the configuration has. */
function asNamed({ num_experts, ...changed }: Config, inside: Config): Config {
  if (num_experts === undefined) return changed;
  const key = 'num_local_experts' in inside ? 'num_local_experts' : 'num_experts';
  return { ...changed, [key]: num_experts };
}

/** Keys of the text model that pruning may change. */
function changedKeys({ hf, biases }: Family, own: boolean): Set<unknown> {
  const { blocks, globalBelow, ffn, ffnAdjusts, heads, kvHeads, headDim, ...keys } = hf.keys;
  const switches = Object.values(biases);
  const widths = own ? [] : [ffn, ffnAdjusts, heads, kvHeads, headDim, ...switches];
  const alike = [keys.experts, keys.expertWidth];
  return new Set([blocks, globalBelow, 'layer_types', 'no_rope_layers', ...alike, ...widths]);
}

function only(config: Config, keys: ReadonlySet<unknown>): Config {
  return Object.fromEntries(Object.entries(config).filter(([key]) => keys.has(key)));
}

const MODULE = 'wrapped_struprune';

function ownConfig(wrapper: Wrapper, struprune: OwnConfig): Config {
  const model = `Struprune${wrapper.stockClass}`;
  return {
    model_type: OWN_PREFIX + wrapper.modelType,
    architectures: [model],
    auto_map: {
      AutoConfig: `${MODULE}.Struprune${baseOf(wrapper)}Config`,
      AutoModelForImageTextToText: `${MODULE}.${model}`,
    },
    struprune,
  };
}

/** Written for Llava, beside the code of the text model's family. */
export function wrappedCode(wrapper: Wrapper): { name: string; text: string } {
  const name = `${MODULE}.py`;
  const text = readFileSync(join(__dirname, 'modeling', name), 'utf8')
    .replaceAll('LlavaForConditionalGeneration', wrapper.stockClass)
    .replaceAll('Llava', baseOf(wrapper))
    .replaceAll(`${OWN_PREFIX}llava`, OWN_PREFIX + wrapper.modelType);
  return { name, text };
}

/** `Llava` of `LlavaForConditionalGeneration`. */
function baseOf({ stockClass }: Wrapper): string {
  return stockClass.replace('ForConditionalGeneration', '');
}
