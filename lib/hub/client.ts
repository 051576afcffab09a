/** What is asked of the hub, through @huggingface/hub, and what its refusals mean. */
import { StruPruneError } from '../errors';
import type { HubSettings } from './settings';

export interface Listing {
  commit: string;
  names: string[];
}

export interface RemoteFile {
  name: string;
  size: number;
  /** Its blob's name in the cache, a hash of its bytes. */
  etag: string;
  /** SHA-256 of the bytes, or SHA-1 of git's blob of them. */
  hash: 'sha256' | 'sha1';
}

/** What passes, perhaps: no answer, or that of a server in trouble. */
export class Unreachable extends StruPruneError {}

export class HubClient {
  readonly #repo: string;
  readonly #settings: HubSettings;
  readonly #signal: AbortSignal | undefined;

  constructor(repo: string, settings: HubSettings, signal?: AbortSignal) {
    this.#repo = repo;
    this.#settings = settings;
    this.#signal = signal;
    if (settings.token?.startsWith('hf_') ?? true) return;
    const found = 'the token in HF_TOKEN, or of the last login, does not begin with hf_';
    throw new StruPruneError('ERR_HUB', found, this.#newToken);
  }

  /** The files of a revision. @throws StruPruneError ERR_NOT_FOUND, ERR_HUB */
  async list(revision: string): Promise<Listing> {
    const { modelInfo } = await import('@huggingface/hub');
    const info = await modelInfo({
      ...this.#shared(revision),
      name: this.#repo,
      revision,
      additionalFields: ['sha', 'filePaths'],
    });
    if (info.name.toLowerCase() !== this.#repo.toLowerCase()) {
      const found = `${this.#repo} is called ${info.name} now`;
      throw new StruPruneError('ERR_NOT_FOUND', found, 'give that name');
    }
    return { commit: info.sha, names: info.filePaths };
  }

  /** Sizes and hashes, in the order of `names`. @throws StruPruneError ERR_NOT_FOUND, ERR_HUB */
  async describe(commit: string, names: string[]): Promise<RemoteFile[]> {
    const { pathsInfo } = await import('@huggingface/hub');
    const found = await pathsInfo({
      ...this.#shared(commit),
      repo: this.#repo,
      revision: commit,
      paths: names,
    });
    return names.map((name) => {
      const { size, lfs, oid } = found.find(({ path }) => path === name) ?? {};
      const etag = lfs?.oid ?? oid;
      if (size === undefined || !etag || !/^[0-9a-f]+$/.test(etag)) {
        throw new StruPruneError(
          'ERR_HUB',
          `${this.#settings.endpoint} does not say what ${name} of ${this.#repo} is`,
          'try again later',
        );
      }
      return { name, size, etag, hash: lfs ? 'sha256' : 'sha1' };
    });
  }

  /** A file's bytes from `start` to `end`, or to its own. @throws StruPruneError ERR_NOT_FOUND, ERR_HUB, and whatever the stream may */
  async *bytes(
    commit: string,
    name: string,
    start: number,
    end?: number,
  ): AsyncGenerator<Uint8Array, void> {
    const { downloadFile } = await import('@huggingface/hub');
    const shared = this.#shared(commit);
    const file = { ...shared, repo: this.#repo, revision: commit, path: name, xet: false };
    const blob = await downloadFile(file);
    if (!blob) return;
    try {
      yield* blob.slice(start, end).stream() as unknown as AsyncIterable<Uint8Array>;
    } catch (cause) {
      this.#signal?.throwIfAborted();
      // The stream rejects with a text where its request was refused.
      throw new Unreachable('ERR_HUB', cause instanceof Error ? cause.message : String(cause));
    }
  }

  /** What every request is told. */
  #shared(revision: string) {
    const { endpoint: hubUrl, token: accessToken } = this.#settings;
    const signal = this.#signal;
    const asked: typeof fetch = async (input, init) => {
      const response = await fetch(input, { ...init, signal }).catch((error: Error) => {
        signal?.throwIfAborted();
        throw this.#noAnswer(error);
      });
      if (response.ok) return response;
      await response.body?.cancel();
      throw this.#refused(response, revision);
    };
    return { hubUrl, accessToken, fetch: asked };
  }

  #noAnswer(error: Error): StruPruneError {
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    return new Unreachable(
      'ERR_HUB',
      `${this.#settings.endpoint} cannot be reached (${code ?? error.message})`,
      'check the network and HF_ENDPOINT, or download the model elsewhere and give its folder',
      { cause: error },
    );
  }

  #refused({ status, headers }: Response, revision: string): StruPruneError {
    const { endpoint, token } = this.#settings;
    const repo = this.#repo;
    switch (headers.get('x-error-code')) {
      case 'GatedRepo':
        return new StruPruneError(
          'ERR_HUB',
          `${repo} is gated: ${token ? 'the account of this token has not been granted access' : 'its owner asks who downloads it'}`,
          `accept its terms at ${endpoint}/${repo}${token ? '' : ', and set HF_TOKEN'}`,
        );
      case 'RevisionNotFound':
        return new StruPruneError(
          'ERR_NOT_FOUND',
          `${repo} has no revision ${revision}`,
          'name one of its branches, tags or commits',
        );
      case 'RepoNotFound':
        return this.#noRepo();
    }
    if (/^invalid credentials/i.test(headers.get('x-error-message') ?? '')) {
      return new StruPruneError('ERR_HUB', `${endpoint} refuses this token`, this.#newToken);
    }
    if (status === 401 || status === 404) return this.#noRepo();
    if (status === 429) {
      const found = `${endpoint} wants fewer requests for a while (429)`;
      return new StruPruneError(
        'ERR_HUB',
        found,
        `try again later${token ? '' : ', or set HF_TOKEN'}`,
      );
    }
    const found = `${endpoint} answers ${status} for ${repo}`;
    const Kind = status >= 500 ? Unreachable : StruPruneError;
    return new Kind('ERR_HUB', found, 'try again later');
  }

  #noRepo(): StruPruneError {
    const { endpoint, token } = this.#settings;
    return new StruPruneError(
      'ERR_NOT_FOUND',
      `${endpoint} has no model ${this.#repo} that ${token ? 'the account of this token' : 'everybody'} may read`,
      `check the name and its case${token ? '' : '; a private model needs HF_TOKEN'}; a folder is given by its path`,
    );
  }

  get #newToken(): string {
    return `make one at ${this.#settings.endpoint}/settings/tokens and set HF_TOKEN, or unset it`;
  }
}
