import { StruPruneError } from '../../errors';
import type { Family } from '../family';
import { WRAPPERS } from '../wrappers';
import { ernie45 } from './ernie4-5';
import { gemma2 } from './gemma2';
import { gemma3 } from './gemma3';
import { gptNeox } from './gpt-neox';
import { gptOss } from './gpt-oss';
import { gpt2 } from './gpt2';
import { granite } from './granite';
import { graniteMoe } from './granite-moe';
import { graniteMoeShared } from './granite-moe-shared';
import { granite4 } from './granite4';
import { lfm2 } from './lfm2';
import { lfm2Moe } from './lfm2-moe';
import { llama } from './llama';
import { ministral } from './ministral';
import { ministral3 } from './ministral3';
import { mistral } from './mistral';
import { mixtral } from './mixtral';
import { olmo2 } from './olmo2';
import { olmo3 } from './olmo3';
import { olmoe } from './olmoe';
import { opt } from './opt';
import { phi3 } from './phi3';
import { qwen2 } from './qwen2';
import { qwen2Moe } from './qwen2-moe';
import { qwen3 } from './qwen3';
import { qwen35 } from './qwen3-5';
import { qwen35Moe } from './qwen3-5-moe';
import { qwen3Moe } from './qwen3-moe';
import { qwen3Next } from './qwen3-next';
import { seedOss } from './seed-oss';
import { smollm3 } from './smollm3';
import { starcoder2 } from './starcoder2';

export const FAMILIES: readonly Family[] = [
  llama,
  mistral,
  ministral,
  ministral3,
  qwen2,
  qwen3,
  qwen35,
  gemma2,
  gemma3,
  olmo2,
  olmo3,
  smollm3,
  granite,
  granite4,
  seedOss,
  ernie45,
  lfm2,
  phi3,
  gpt2,
  gptNeox,
  starcoder2,
  opt,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  qwen3Next,
  qwen35Moe,
  lfm2Moe,
  olmoe,
  graniteMoe,
  graniteMoeShared,
  gptOss,
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

/** The families of a GGUF's general.architecture. @throws StruPruneError ERR_UNSUPPORTED */
export function familiesOfGguf(architecture: string): Family[] {
  const families = FAMILIES.filter(({ gguf }) => gguf?.architectures.includes(architecture));
  if (families.length === 0) throw unknownFamily(`GGUF architecture "${architecture}"`);
  return families;
}

/**
 * The one among them that a file is of: a sliding window tells Mistral from Llama, experts tell Mixtral, and one that all tokens pass
 * Granite's two kinds, which share one.
 * @throws StruPruneError ERR_UNSUPPORTED
 */
export function familyOfGguf(
  architecture: string,
  { slides, experts, shared }: { slides: boolean; experts: boolean; shared: boolean },
): Family {
  const family = familiesOfGguf(architecture).find(
    (candidate) =>
      experts === (candidate.gguf?.experts !== undefined) &&
      (!shared || candidate.hf.keys.sharedWidth !== undefined) &&
      (!slides || slidesEverywhere(candidate) || candidate.gguf?.slides),
  );
  if (family) return family;
  const traits = [experts ? 'with experts' : 'without experts', ...(slides ? ['that slides'] : [])];
  throw unknownFamily(`GGUF architecture "${architecture}" ${traits.join(' ')}`);
}

function slidesEverywhere({ hf, mixesWindows }: Family): boolean {
  return hf.keys.slidingWindow !== undefined && !mixesWindows;
}

function unknownFamily(what: string): StruPruneError {
  const known = FAMILIES.map((family) => family.name).join(', ');
  const seeing = WRAPPERS.map(({ modelType }) => modelType).join(', ');
  const gguf = [...new Set(FAMILIES.flatMap((family) => family.gguf?.architectures ?? []))];
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${what} is not one that this program knows`,
    `use a model of one of these families: ${known} (GGUF architectures: ${gguf.join(', ')}; with images: ${seeing})`,
  );
}
