/** Models by name: out of the cache of Hugging Face's tools, or from the hub into it. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { StruPruneError } from '../errors';
import { cachedRepo } from '../model/name';
import { CachedRepo } from './cache';
import { HubClient } from './client';
import { type DownloadCalls, download } from './download';
import { standIn } from './header';
import { type HubModel, hubModel } from './name';
import { type HubSettings, hubSettings } from './settings';

export { asHubName } from './name';

/**
 * What `localPath` leads to, but that of a model which the cache lacks headers alone are fetched, into `folder`.
 * @throws StruPruneError what localPath throws
 */
export async function headerPath(
  model: string,
  folder: string,
  calls: DownloadCalls = {},
): Promise<string> {
  const named = hubModel(model);
  const path = named && (await standIn(named, folder, hubSettings(), calls.signal));
  return path ?? localPath(model, calls);
}

/**
 * Where a model lies: a path stays what it is, a cache's folder `models--owner--name` leads to its snapshot, and a name
 * (lib/hub/name.ts) to what the cache has, or the hub where it has too little.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_HUB, ERR_OUTPUT; the signal's reason
 */
export async function localPath(model: string, calls: DownloadCalls = {}): Promise<string> {
  const named = hubModel(model);
  if (named) return fetched(named, hubSettings(), calls);
  const repo = cachedRepo(model);
  return repo && existsSync(join(model, 'snapshots')) ? snapshotIn(model, repo) : model;
}

async function fetched(
  model: HubModel,
  settings: HubSettings,
  calls: DownloadCalls,
): Promise<string> {
  const cached = new CachedRepo(settings.cache, model.repo);
  const found = await cached.find(model);
  if (found?.whole || (found && settings.offline)) return found.path;
  if (settings.offline) throw notCached(model, settings);
  // The cache goes first: what is missing is fetched of the commit that it has.
  const wanted = found ? { ...model, revision: found.commit } : model;
  try {
    const client = new HubClient(model.repo, settings, calls.signal);
    const commit = await download(wanted, cached, client, calls);
    return join(cached.snapshot(commit), model.file ?? '');
  } catch (error) {
    // All that a model needs is here; a card or a template less stops nothing.
    if (found && !calls.signal?.aborted && error instanceof StruPruneError) return found.path;
    throw error;
  }
}

function notCached({ repo, revision }: HubModel, { cache }: HubSettings): StruPruneError {
  return new StruPruneError(
    'ERR_NOT_FOUND',
    `the cache ${cache} does not have all of ${repo} at ${revision}, and HF_HUB_OFFLINE forbids to ask the hub`,
    'unset HF_HUB_OFFLINE, or name the cache that has it with HF_HUB_CACHE',
  );
}

/** What the branch main led to, or the only one. */
async function snapshotIn(folder: string, repo: string): Promise<string> {
  const cached = new CachedRepo(dirname(resolve(folder)), repo);
  const commits = await readdir(join(folder, 'snapshots'));
  const main = await cached.commitOf('main');
  const commit = main !== null && commits.includes(main) ? main : commits[0];
  if (commit !== undefined && (commit === main || commits.length === 1)) {
    return cached.snapshot(commit);
  }
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `${basename(folder)} has ${commits.length} snapshots, and its branch main is none of them`,
    commits.length
      ? `give one of them: ${commits.map((name) => join(folder, 'snapshots', name)).join(', ')}`
      : `give hf:${repo}`,
  );
}
