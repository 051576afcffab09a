/** A server that answers as the Hugging Face Hub does, with a second one where its large files lie. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRepo {
  files: Record<string, Buffer>;
  /** By the name of a branch; the files are the same at all of them. */
  commits?: Record<string, string>;
  /** The token that may read it. */
  gatedFor?: string;
  renamedTo?: string;
}

export interface Asked {
  method: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
  /** Whether the server of large files was asked. */
  large: boolean;
}

export const COMMIT = '1'.repeat(40);
const LARGE = /\.(safetensors|gguf|bin)$/;

export class HubServer {
  readonly asked: Asked[] = [];
  readonly repos: Record<string, HubRepo>;
  /** Bytes of the next answers about large files after which the connection ends, one for each. */
  cuts: number[] = [];
  /** What the next requests are answered with, whatever they ask. */
  status: number | null = null;
  #hub!: Server;
  #storage!: Server;

  private constructor(repos: Record<string, HubRepo>) {
    this.repos = repos;
  }

  static async start(repos: Record<string, HubRepo>): Promise<HubServer> {
    const server = new HubServer(repos);
    server.#hub = await listen((request, response) => server.#answer(request, response));
    server.#storage = await listen((request, response) => server.#large(request, response));
    return server;
  }

  get url(): string {
    return urlOf(this.#hub);
  }

  /** Files of which bytes were sent; the first byte alone is asked for to know a file's size. */
  get fetched(): string[] {
    const bodies = this.asked.filter(
      ({ path, range, method }) =>
        method === 'GET' && /resolve/.test(path) && range !== 'bytes=0-0',
    );
    return [...new Set(bodies.map(({ path }) => path.replace(/^.*?resolve\/[^/]+\//, '')))].sort();
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #note(request: IncomingMessage, large: boolean): URL {
    const { method = '', url = '', headers } = request;
    const { range, authorization } = headers;
    const { pathname: path } = new URL(url, 'http://hub');
    this.asked.push({ method, path, range, authorization, large });
    return new URL(url, 'http://hub');
  }

  #answer(request: IncomingMessage, response: ServerResponse): unknown {
    const { pathname } = this.#note(request, false);
    if (this.status !== null) return refuse(response, this.status);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|paths-info)\/(.+)$/.exec(pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const [, name = '', kind = ''] = api ?? file ?? [];
    const revision = decodeURIComponent((api ? api[3] : file?.[2]) ?? '');
    const repo = this.repos[name];
    if (!repo) return refuse(response, 401, 'RepoNotFound');
    if (repo.renamedTo) {
      const moved = request.url!.replace(name, repo.renamedTo);
      return response.writeHead(307, { location: moved }).end();
    }
    const { authorization } = request.headers;
    if (authorization && !/^Bearer hf_/.test(authorization)) {
      const message = 'Invalid credentials in Authorization header';
      return refuse(response, 401, '', message);
    }
    const commits = repo.commits ?? { main: COMMIT };
    const commit = Object.values(commits).includes(revision) ? revision : commits[revision];
    if (!commit) return refuse(response, 404, 'RevisionNotFound');
    if (api && kind === 'revision') return this.#info(response, name, repo, commit);
    if (api) return this.#paths(request, response, repo);
    if (repo.gatedFor && authorization !== `Bearer ${repo.gatedFor}`) {
      return refuse(response, authorization ? 403 : 401, 'GatedRepo');
    }
    this.#file(request, response, repo, commit, file![3]!);
  }

  #info(response: ServerResponse, id: string, { files }: HubRepo, sha: string): void {
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    const counts = { downloads: 1, likes: 1, private: false, gated: false };
    json(response, {
      _id: '0',
      id,
      sha,
      siblings,
      lastModified: '2026-01-01T00:00:00Z',
      ...counts,
    });
  }

  #paths(request: IncomingMessage, response: ServerResponse, { files }: HubRepo): void {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const { paths } = JSON.parse(body) as { paths: string[] };
      const known = paths.filter((path) => files[path]);
      json(
        response,
        known.map((path) => ({ path, type: 'file', ...described(path, files[path]!) })),
      );
    });
  }

  #file(
    request: IncomingMessage,
    response: ServerResponse,
    { files }: HubRepo,
    commit: string,
    path: string,
  ): unknown {
    const bytes = files[path];
    if (!bytes) return refuse(response, 404, 'EntryNotFound');
    const { oid, lfs } = described(path, bytes);
    response.setHeader('X-Repo-Commit', commit);
    response.setHeader('ETag', `"${lfs?.oid ?? oid}"`);
    if (!lfs) return send(request, response, bytes);
    response.setHeader('X-Linked-ETag', `"${lfs.oid}"`);
    response.setHeader('X-Linked-Size', bytes.length);
    // Its storage does not know the hub's tokens.
    response.writeHead(302, { location: urlOf(this.#storage) + request.url }).end();
  }

  #large(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = this.#note(request, true);
    const [, name = '', path = ''] =
      /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? [];
    const cut = request.headers.range === 'bytes=0-0' ? undefined : this.cuts.shift();
    response.setHeader('ETag', '"of the storage"');
    send(request, response, this.repos[name]!.files[path]!, cut);
  }
}

/** As the API has it: git's hash of small files, SHA-256 of large ones. */
function described(path: string, bytes: Buffer) {
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const lfs = LARGE.test(path) ? { oid: sha256, size: bytes.length, pointerSize: 130 } : undefined;
  return { size: bytes.length, oid, lfs };
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  cut?: number,
): unknown {
  const { range } = request.headers;
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const start = Number(from);
  const end = to === '' ? bytes.length : Math.min(Number(to) + 1, bytes.length);
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Content-Length', end - start);
  if (range) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${bytes.length}`);
  response.writeHead(range ? 206 : 200);
  if (request.method === 'HEAD') return response.end();
  const body = bytes.subarray(start, end);
  if (cut === undefined) return response.end(body);
  response.flushHeaders();
  response.write(body.subarray(0, cut));
  // What was written arrives before the end, however slow the machine is.
  setTimeout(() => response.socket?.end(), 50);
}

function refuse(response: ServerResponse, status: number, code = '', message = ''): void {
  if (code) response.setHeader('X-Error-Code', code);
  if (message) response.setHeader('X-Error-Message', message);
  response.writeHead(status).end();
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = createServer(answer);
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
