/** Names of models on the Hugging Face Hub, and of their folders in its cache. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { StruPruneError } from '../errors';

export interface HubModel {
  /** `owner/name`. */
  repo: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** The GGUF file that is meant; null: the repository's safetensors. */
  file: string | null;
}

const PREFIX = 'hf:';
const PART = '\\w[\\w.-]*';
const BARE = new RegExp(`^(${PART}/${PART})(?:@(${PART}|refs/${PART}/${PART}))?$`);
/** The page of a model, of a revision or of a file, as a browser shows its address. */
const ADDRESS = new RegExp(
  `^(?:https?://)?(?:www\\.)?(?:huggingface\\.co|hf\\.co)/(${PART}/${PART})(?:/(?:tree|blob|resolve)/(${PART}|refs/${PART}/${PART})(?:/((?:${PART}/)*${PART}\\.gguf))?)?/?(?:\\?.*)?$`,
);
const PREFIXED = new RegExp(`${BARE.source.slice(0, -1)}(?:/((?:${PART}/)*${PART}\\.gguf))?$`);

/**
 * The model that `hf:owner/name`, `hf:owner/name@revision`, `hf:owner/name/file.gguf` or the address of one of these on
 * huggingface.co means; or `owner/name`, with a revision or without, where neither it nor a folder `owner` is here. null: a path.
 * @throws StruPruneError ERR_ARGUMENT for `hf:` before anything else, and for other addresses
 */
export function hubModel(model: string): HubModel | null {
  const address = partsOf(ADDRESS.exec(model));
  if (address) return address;
  if (model.startsWith(PREFIX) || /^https?:/i.test(model)) {
    const named = model.startsWith(PREFIX) && partsOf(PREFIXED.exec(model.slice(PREFIX.length)));
    if (named) return named;
    const forms = 'hf:owner/name, hf:owner/name@revision or hf:owner/name/file.gguf';
    throw new StruPruneError('ERR_ARGUMENT', `${model} names no model of the hub`, `give ${forms}`);
  }
  const named = partsOf(BARE.exec(model));
  return named && !model.endsWith('.gguf') && !existsSync(dirname(model)) ? named : null;
}

/** The name that would have the hub asked for what looks like a path; null where none would. */
export function asHubName(path: string): string | null {
  return BARE.test(path) ? PREFIX + path : null;
}

function partsOf(match: RegExpExecArray | null): HubModel | null {
  if (match === null) return null;
  const [, repo, revision = 'main', file = null] = match;
  return { repo: repo!, revision, file };
}

/** `models--owner--name`. */
export function cacheFolder(repo: string): string {
  return `models--${repo.replace('/', '--')}`;
}
