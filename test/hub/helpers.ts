import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type HubRepo, HubServer } from './server';

export const TINY = resolve('assets/tiny');
export const SHARDED = resolve('test/fixtures/models/llama3');
export const GGUF = resolve('test/fixtures/models/llama3-tied/model.gguf');

/** A GGUF file in three parts, `model-0000N-of-00003.gguf`. */
export const SPLIT = resolve('test/fixtures/models/smollm3');

/** A folder as a repository, with what nobody asked for. */
export function repoOf(folder: string, more: Record<string, Buffer> = {}): HubRepo {
  const names = readdirSync(folder);
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
  const unasked = { 'pytorch_model.bin': Buffer.alloc(10), 'onnx/model.onnx': Buffer.alloc(10) };
  return { files: { ...files, ...unasked, ...more } };
}

/** A hub, and an empty cache that the environment names, for one serial test. */
export async function startHub(
  t: ExecutionContext,
  repos: Record<string, HubRepo>,
): Promise<{ server: HubServer; cache: string }> {
  const server = await HubServer.start(repos);
  const home = await mkdtemp(join(tmpdir(), 'struprune-hub-'));
  const cache = join(home, 'hub');
  const before = { ...process.env };
  for (const name of Object.keys(before)) if (/^(HF_|HUGGING)/.test(name)) delete process.env[name];
  Object.assign(process.env, { HF_HOME: home, HF_ENDPOINT: server.url });
  t.teardown(async () => {
    process.env = before;
    await server.stop();
    await rm(home, { recursive: true, force: true });
  });
  return { server, cache };
}
