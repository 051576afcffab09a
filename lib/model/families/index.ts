import { StruPruneError } from '../../errors';
import type { Family } from '../family';
import { gemma3 } from './gemma3';
import { gpt2 } from './gpt2';
import { granite } from './granite';
import { llama } from './llama';
import { ministral } from './ministral';
import { mistral } from './mistral';
import { mixtral } from './mixtral';
import { olmo2 } from './olmo2';
import { olmoe } from './olmoe';
import { opt } from './opt';
import { phi3 } from './phi3';
import { qwen2 } from './qwen2';
import { qwen2Moe } from './qwen2-moe';
import { qwen3 } from './qwen3';
import { qwen3Moe } from './qwen3-moe';
import { smollm3 } from './smollm3';
import { starcoder2 } from './starcoder2';

export const FAMILIES: readonly Family[] = [
  llama,
  mistral,
  ministral,
  qwen2,
  qwen3,
  gemma3,
  olmo2,
  smollm3,
  granite,
  phi3,
  gpt2,
  starcoder2,
  opt,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
];

/** Our own modeling code puts this in front of the family's model_type. */
export const OWN_PREFIX = 'struprune_';

/** The family of that name. @throws StruPruneError ERR_UNSUPPORTED */
export function familyNamed(name: string): Family {
  const family = FAMILIES.find((candidate) => candidate.name === name);
  if (family === undefined) throw unknownFamily(`model family "${name}"`);
  return family;
}

/** The family of a config.json's model_type. @throws StruPruneError ERR_UNSUPPORTED */
export function familyOfModelType(modelType: string): Family {
  const base = modelType.startsWith(OWN_PREFIX) ? modelType.slice(OWN_PREFIX.length) : modelType;
  const family = FAMILIES.find((candidate) => candidate.hf.modelType === base);
  if (family === undefined) throw unknownFamily(`model_type "${modelType}"`);
  return family;
}

/**
 * The family of a GGUF's general.architecture. A sliding window tells Mistral from Llama, which share one.
 * @throws StruPruneError ERR_UNSUPPORTED
 */
export function familyOfGguf(architecture: string, slidingWindow: boolean): Family {
  const family = FAMILIES.find(
    (candidate) =>
      candidate.gguf?.architectures.includes(architecture) &&
      (!slidingWindow || slidesEverywhere(candidate) || candidate.gguf.slides),
  );
  if (family === undefined) throw unknownFamily(`GGUF architecture "${architecture}"`);
  return family;
}

function slidesEverywhere({ hf, mixesWindows }: Family): boolean {
  return hf.keys.slidingWindow !== undefined && !mixesWindows;
}

function unknownFamily(what: string): StruPruneError {
  const known = FAMILIES.map((family) => family.name).join(', ');
  const gguf = [...new Set(FAMILIES.flatMap((family) => family.gguf?.architectures ?? []))];
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${what} is not one that this program knows`,
    `use a model of one of these families: ${known} (GGUF architectures: ${gguf.join(', ')})`,
  );
}
