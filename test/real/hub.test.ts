/** One cache for us and for Python's huggingface_hub: each takes what the other has fetched. */
import { execFile } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { openModel } from '../../lib';
import { repoOf, startHub, TINY } from '../hub/helpers';
import { COMMIT } from '../hub/server';

/** Not waited for in this thread, in which the hub answers. */
async function python<Result>(...args: string[]): Promise<Result> {
  const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
  const script = join(__dirname, 'hub.py');
  const { stdout } = await promisify(execFile)('python3', [script, ...args], { env });
  return JSON.parse(stdout);
}

test.serial('Python finds what we have fetched', async (t) => {
  const { cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const { path } = await openModel('owner/tiny');
  const found = await python<{ folder: string; warnings: string[]; size: number }>(
    'find',
    'owner/tiny',
  );
  t.is(found.folder, path);
  t.deepEqual(found.warnings, []);
  const blobs = join(cache, 'models--owner--tiny/blobs');
  const size = readdirSync(blobs).reduce((sum, name) => sum + statSync(join(blobs, name)).size, 0);
  t.is(found.size, size);
});

test.serial('we find what Python has fetched, and it nothing to fetch of ours', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const names = ['config.json', 'model.safetensors', 'tokenizer.json'];
  const fetched = await python<string[]>('fetch', 'owner/tiny', ...names);
  const snapshot = join(cache, 'models--owner--tiny/snapshots', COMMIT);
  t.deepEqual(
    fetched,
    names.map((name) => join(snapshot, name)),
  );
  const bodies = () => server.asked.filter(({ large, method }) => large && method === 'GET').length;
  const before = bodies();
  t.is((await openModel('owner/tiny')).path, snapshot);
  t.is(bodies(), before);
  await python('fetch', 'owner/tiny', 'README.md', ...names);
  t.is(bodies(), before);
});
