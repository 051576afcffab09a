/** Where the hub and its cache are, by the variables that Hugging Face's own tools read. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface HubSettings {
  /** Folder of the cache. */
  cache: string;
  /** Address of the hub, without a slash at its end. */
  endpoint: string;
  /** Only the cache may be used. */
  offline: boolean;
  token: string | undefined;
}

const HUB = 'https://huggingface.co';

export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || '~/.cache', 'huggingface');
  const cache = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub');
  const file = expanded(env.HF_TOKEN_PATH || join(home, 'token'));
  return {
    cache: expanded(cache),
    endpoint: (env.HF_ENDPOINT || HUB).replace(/\/+$/, ''),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    token: env.HF_TOKEN?.trim() || env.HUGGING_FACE_HUB_TOKEN?.trim() || tokenIn(file),
  };
}

function expanded(value: string): string {
  return value.replace(/^~(?=\/|$)/, homedir());
}

function isTrue(value: string | undefined): boolean {
  return /^(1|true|yes|on)$/i.test(value ?? '');
}

/** What `hf auth login` left. */
function tokenIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
