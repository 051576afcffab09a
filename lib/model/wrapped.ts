/** A text model inside of a model of text and images: its configuration and tensors as one of its family has them. */
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import type { StoredTensor, Wrapped } from './architecture';
import { elements } from './axes';
import { OWN_PREFIX } from './families';
import { stackedNames, type TensorNames } from './family';
import { unsupported } from './fields';
import { type Layout, type TextModel, WRAPPERS, type Wrapper } from './wrappers';

export interface Unwrapped {
  wrapped: Wrapped;
  /** Of the text model, with a model_type of its family. */
  config: Record<string, unknown>;
  tensors: Map<string, StoredTensor>;
}

type Config = Record<string, unknown>;

/** null: a configuration of another kind. */
export function wrapperOf(modelType: unknown): Wrapper | null {
  const isOf = (known: string) => modelType === known || modelType === OWN_PREFIX + known;
  return WRAPPERS.find((wrapper) => isOf(wrapper.modelType)) ?? null;
}

/** @throws StruPruneError ERR_UNSUPPORTED, ERR_CHECKPOINT */
export function unwrap(
  wrapper: Wrapper,
  config: Config,
  stored: ReadonlyMap<string, StoredTensor>,
  where: string,
): Unwrapped {
  const layout = withStack(layoutOf(wrapper, stored, where), config, stored);
  const isText = ({ name }: StoredTensor) => name === layout.head || name.startsWith(layout.text);
  const all = [...stored.values()];
  const { inner, flat } = innerConfig(wrapper, config, where);
  return {
    wrapped: { wrapper, layout, flat, others: all.filter((tensor) => !isText(tensor)) },
    config: textConfig(wrapper, config, inner, stored.has(layout.head), where),
    tensors: new Map(all.filter(isText).map((tensor) => [tensor.name, tensor])),
  };
}

/** Files of Qwen3-VL's mixtures on the hub have `[experts, channels, hidden]`; transformers writes what it has in memory. */
function withStack(
  layout: Layout,
  { text_config: text }: Config,
  stored: ReadonlyMap<string, StoredTensor>,
): Layout {
  if (!layout.stacked || !isObject(text)) return layout;
  const name = [...stored.keys()].find((one) => one.endsWith('.experts.down_proj'));
  const [, rows, columns] = (name && stored.get(name)?.shape) || [];
  const isTurned = columns === text.hidden_size && rows !== columns;
  return isTurned ? { ...layout, stacked: 'transposed' } : layout;
}

/** The family's names of tensors as such a file has them. */
export function namesInside(own: TensorNames, { text, head, stacked: how }: Layout): TensorNames {
  const names = how ? stackedNames(own) : own;
  const inside = (name: string) =>
    name === names.model.head ? head : name.replace(/^model\./, text);
  const each = <T extends object>(templates: T) =>
    Object.fromEntries(Object.entries(templates).map(([role, name]) => [role, inside(name)])) as T;
  const { model, block, stacked } = names;
  return {
    ...names,
    ...(how === 'transposed' && { transposed: 'experts' }),
    model: each(model),
    block: each(block),
    ...(stacked && { stacked: each(stacked) }),
  };
}

/** Weights among tensors of any type. Positions and the like are integers. */
export function weightsIn(tensors: readonly Pick<StoredTensor, 'dtype' | 'shape'>[]): number {
  const weights = tensors.filter(({ dtype }) => /^B?F/.test(dtype));
  return weights.reduce((sum, { shape }) => sum + elements(shape), 0);
}

function layoutOf(
  { layouts, stockClass }: Wrapper,
  stored: ReadonlyMap<string, StoredTensor>,
  where: string,
): Layout {
  const embeddings = layouts.map(({ text }) => `${text}embed_tokens.weight`);
  const at = embeddings.findIndex((name) => stored.has(name));
  if (at !== -1) return layouts[at]!;
  throw new StruPruneError(
    'ERR_CHECKPOINT',
    `${where}: a ${stockClass} has its text model's embeddings as ${embeddings.join(' or ')}, and the files have neither`,
    'fetch the checkpoint again, or load it with transformers and call save_pretrained',
  );
}

function innerConfig({ flat }: Wrapper, config: Config, where: string) {
  const { text_config: inner } = config;
  if (isObject(inner)) return { inner: inner as Config, flat: false };
  if (flat && inner === undefined) {
    const { model_type, ...keys } = config;
    return { inner: keys, flat: true };
  }
  const mend = 'fetch or convert the checkpoint again';
  throw new StruPruneError('ERR_CHECKPOINT', `${where}: text_config must be an object`, mend);
}

function textConfig(
  wrapper: Wrapper,
  outer: Config,
  inner: Config,
  hasHead: boolean,
  where: string,
): Config {
  if (outer.quantization_config ?? inner.quantization_config) {
    const what = `a ${wrapper.stockClass} with quantised weights`;
    throw unsupported(where, what, 'use the unquantised checkpoint');
  }
  const text = textModelOf(wrapper, inner, where);
  const { bos_token_id, eos_token_id } = outer;
  return {
    ...text.defaults,
    ...(bos_token_id !== undefined && { bos_token_id }),
    ...(eos_token_id !== undefined && { eos_token_id }),
    ...inner,
    ...plainRope(inner),
    // Our own modeling code has the widths of the text model's blocks in the outer one.
    ...(outer.struprune !== undefined && { struprune: outer.struprune }),
    model_type: outer.model_type === wrapper.modelType ? text.as : OWN_PREFIX + text.as,
    tie_word_embeddings: isTied(outer, inner, hasHead),
  };
}

/** null in files that older versions of transformers wrote: the first one. */
function textModelOf(wrapper: Wrapper, inner: Config, where: string): TextModel {
  const { texts } = wrapper;
  const { model_type: stated = texts[0]!.modelType } = inner;
  const found = texts.find(({ modelType }) => modelType === stated);
  if (found) return found;
  const known = texts.map(({ modelType }) => modelType).join(', ');
  const what = `a ${wrapper.stockClass} whose text model is ${JSON.stringify(stated)}`;
  throw unsupported(where, what, `use one whose text model is ${known}`);
}

/**
 * A head that is there is one of its own, unless the configuration says that it is the embedding; where there is none the
 * embedding is the head, unless it says that it is not. The outer one goes first, as in transformers 5.
 */
function isTied(outer: Config, inner: Config, hasHead: boolean): unknown {
  const { tie_word_embeddings: own } = outer;
  const { tie_word_embeddings: within } = inner;
  if (hasHead) return own ?? within ?? false;
  return own === true || (within ?? own ?? true);
}

/** Three axes of positions (mrope) are alike on text: a plain rope. */
function plainRope(inner: Config): Config {
  const keys = ['rope_scaling', 'rope_parameters'] as const;
  return Object.fromEntries(
    keys.flatMap((key) => {
      const rope = inner[key];
      if (!isObject(rope) || (rope.rope_type ?? rope.type) !== 'mrope') return [];
      return [[key, { ...rope, rope_type: 'default' }]];
    }),
  );
}
