import fs, {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test from 'ava';
import { exportModel, openModel, type Progress, plan } from '../../lib';
import { GGUF, repoOf, SHARDED, SPLIT, startHub, TINY } from './helpers';
import { COMMIT } from './server';

const TINY_FILES = [
  'README.md',
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];
const OTHER = '2'.repeat(40);

test.serial('a model by its name: only what is needed, in the layout of the cache', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const events: Progress[] = [];
  const model = await openModel('owner/tiny', { onProgress: (event) => events.push(event) });
  const folder = join(cache, 'models--owner--tiny');
  const snapshot = join(folder, 'snapshots', COMMIT);
  t.is(model.path, snapshot);
  t.deepEqual(server.fetched, TINY_FILES);
  t.deepEqual((await readdir(snapshot)).sort(), TINY_FILES);
  for (const name of TINY_FILES) {
    const link = readlinkSync(join(snapshot, name));
    t.regex(link, /^\.\.\/\.\.\/blobs\/([0-9a-f]{40}|[0-9a-f]{64})$/);
    t.deepEqual(readFileSync(join(snapshot, name)), readFileSync(join(TINY, name)), name);
  }
  t.is((await readdir(join(folder, 'blobs'))).length, TINY_FILES.length);
  t.is(readFileSync(join(folder, 'refs', 'main'), 'utf8'), COMMIT);
  t.true(existsSync(join(folder, '.no_exist', COMMIT, 'vocab.json')));

  const total = TINY_FILES.reduce((sum, name) => sum + statSync(join(TINY, name)).size, 0);
  t.true(events.length > 2);
  t.true(events.every((event) => event.stage === 'download' && event.total === total));
  t.is(events.at(-1)?.done, total);
  t.regex(events.at(-1)?.message ?? '', /^model\.safetensors, 3\.5 MB of 3\.5 MB$/);
});

test.serial('where no links can be made files are moved, and found again', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/sharded': repoOf(SHARDED) });
  const { symlink } = fs.promises;
  t.teardown(() => Object.assign(fs.promises, { symlink }));
  const refused = Object.assign(new Error('no'), { code: 'EPERM' });
  Object.assign(fs.promises, { symlink: async () => Promise.reject(refused) });
  const { path } = await openModel('owner/sharded');
  const weights = readdirSync(path).filter((name) => name.endsWith('.safetensors'));
  t.true(weights.length > 1);
  for (const name of weights) {
    t.true(lstatSync(join(path, name)).isFile());
    t.deepEqual(readFileSync(join(path, name)), readFileSync(join(SHARDED, name)), name);
  }
  t.deepEqual(await readdir(join(cache, 'models--owner--sharded', 'blobs')), []);
  const fetched = server.fetched.length;
  t.is((await openModel('owner/sharded')).path, path);
  t.is(server.fetched.length, fetched);
});

test.serial('a plan fetches headers and no weights, and leaves nothing in the cache', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const options = { threads: 1, window: 64, calibrationTokens: 512, sparsity: 0.2 };
  const { memory, parameters } = await plan(TINY, options);
  const planned = await plan('owner/tiny', options);
  t.like(planned, { memory, parameters });
  const weights = server.asked.filter(({ large, method }) => large && method === 'GET');
  t.true(weights.length > 0);
  const lengths = weights.map(({ range }) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range!)!;
    return Number(to) - Number(from) + 1;
  });
  t.true(lengths.reduce((sum, length) => sum + length) < 2 ** 17, String(lengths));
  t.false(existsSync(cache));

  const gguf = join(await mkdtemp(join(tmpdir(), 'struprune-plan-')), 'm.gguf');
  t.teardown(() => rm(dirname(gguf), { recursive: true }));
  await exportModel(TINY, { output: gguf, threads: 1 });
  server.repos['owner/gguf'] = { files: { 'm.gguf': readFileSync(gguf) } };
  const file = await plan('hf:owner/gguf/m.gguf', options);
  t.like(file, { parameters, memory: (await plan(gguf, options)).memory });
  server.repos['owner/gated'] = { ...repoOf(TINY), gatedFor: 'hf_other' };
  await t.throwsAsync(plan('owner/gated', options), { code: 'ERR_HUB', message: /is gated/ });
});

test.serial('what is in the cache is not asked for again', async (t) => {
  const repo = { ...repoOf(TINY), commits: { main: COMMIT, next: OTHER } };
  const { server } = await startHub(t, { 'owner/tiny': repo });
  const { path } = await openModel('owner/tiny');
  repo.commits.main = OTHER;
  const asked = server.asked.length;
  t.is((await openModel('hf:owner/tiny')).path, path);
  t.is(server.asked.length, asked);
  process.env.HF_HUB_OFFLINE = '1';
  t.is((await openModel(`owner/tiny@${COMMIT}`)).path, path);
  await t.throwsAsync(openModel('owner/tiny@next'), {
    code: 'ERR_NOT_FOUND',
    message: /owner\/tiny at next, and HF_HUB_OFFLINE forbids.*unset HF_HUB_OFFLINE/,
  });
  delete process.env.HF_HUB_OFFLINE;
  // Another commit with the same files costs nothing but the look.
  const { path: next } = await openModel('owner/tiny@next');
  t.regex(next, new RegExp(`${OTHER}$`));
  t.is(server.asked.filter(({ large, range }) => large && range !== 'bytes=0-0').length, 1);
});

test.serial(
  'a cache that other tools have filled: the rest is fetched, of its commit',
  async (t) => {
    const repo = { ...repoOf(TINY), commits: { main: COMMIT, old: OTHER } };
    const { server, cache } = await startHub(t, { 'owner/tiny': repo });
    const { path } = await openModel('owner/tiny');
    repo.commits = { main: OTHER, old: COMMIT };
    await rm(join(path, 'README.md'));
    const before = server.asked.length;
    t.is((await openModel('owner/tiny')).path, path);
    t.true(server.asked.length > before);
    t.true(existsSync(join(path, 'README.md')));
    // All that a model needs is there: without a card, and without a hub.
    await rm(join(path, 'README.md'));
    server.status = 503;
    t.is((await openModel('owner/tiny')).path, path);
    await rm(join(path, 'model.safetensors'));
    await t.throwsAsync(openModel('owner/tiny'), { code: 'ERR_HUB', message: /answers 503/ });
    t.is(readFileSync(join(cache, 'models--owner--tiny/refs/main'), 'utf8'), COMMIT);
  },
);

test.serial('shards by their index, and the folder of the cache itself', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/many': repoOf(SHARDED) });
  const model = await openModel('hf:owner/many@main');
  t.is(model.files.length, 5);
  const expected = [1, 2, 3, 4, 5].map((i) => `model-0000${i}-of-00005.safetensors`);
  t.deepEqual(
    server.fetched.filter((name) => name.endsWith('.safetensors')),
    expected,
  );
  t.is((await openModel(join(cache, 'models--owner--many'))).path, model.path);
});

test.serial('the processor of a model of text and images', async (t) => {
  const processor = { 'preprocessor_config.json': Buffer.from('{"size": 28}') };
  const folder = resolve('test/fixtures/models/gemma3-vision');
  const { server } = await startHub(t, { 'owner/seeing': repoOf(folder, processor) });
  const { path, wrapped } = await openModel('owner/seeing');
  t.is(wrapped!.wrapper.modelType, 'gemma3');
  t.is(readFileSync(join(path, 'preprocessor_config.json'), 'utf8'), '{"size": 28}');
  t.false(server.fetched.includes('expected.json'));
});

test.serial('one GGUF file of several', async (t) => {
  const gguf = readFileSync(GGUF);
  const files = { 'a-Q4_0.gguf': gguf, 'sub/b-F16.gguf': gguf, 'README.md': Buffer.from('x') };
  const { server, cache } = await startHub(t, { 'owner/gguf': { files } });
  const { path } = await openModel('hf:owner/gguf/sub/b-F16.gguf');
  t.is(path, join(cache, 'models--owner--gguf/snapshots', COMMIT, 'sub/b-F16.gguf'));
  t.deepEqual(server.fetched, ['sub/b-F16.gguf']);
  t.is((await openModel('hf:owner/gguf/sub/b-F16.gguf')).path, path);
  await t.throwsAsync(openModel('owner/gguf'), {
    code: 'ERR_UNSUPPORTED',
    message: /name one of hf:owner\/gguf\/a-Q4_0\.gguf, hf:owner\/gguf\/sub\/b-F16\.gguf/,
  });
  await t.throwsAsync(openModel('hf:owner/gguf/c.gguf'), {
    code: 'ERR_NOT_FOUND',
    message: /owner\/gguf has no file c\.gguf; it has hf:owner\/gguf\/a-Q4_0\.gguf/,
  });
});

test.serial('a GGUF file in parts: all of them, by the name of the first', async (t) => {
  const part = (i: number) => `model-0000${i}-of-00003.gguf`;
  const parts = [1, 2, 3].map((i) => [`sub/${part(i)}`, readFileSync(join(SPLIT, part(i)))]);
  const files: Record<string, Buffer> = Object.fromEntries(parts);
  const { server, cache } = await startHub(t, { 'owner/split': { files } });
  const first = `hf:owner/split/sub/${part(1)}`;
  const options = { threads: 1, window: 16, calibrationTokens: 64, sparsity: 0.2 };
  // Opened by its headers, with nothing fetched.
  await t.throwsAsync(plan(first, options), {
    code: 'ERR_TOKENIZER',
    message: /the GGUF file holds no tokenizer/,
  });
  t.false(existsSync(cache));
  const model = await openModel(first);
  t.deepEqual(
    model.files.map((file) => readFileSync(file).length),
    parts.map(([, bytes]) => bytes!.length),
  );
  const asked = server.asked.length;
  t.is((await openModel(first)).path, model.path);
  t.is(server.asked.length, asked);
  // One that went is fetched again.
  await rm(model.files[1]!);
  t.is((await openModel(first)).path, model.path);
  t.true(existsSync(model.files[1]!));
  await t.throwsAsync(openModel(`hf:owner/split/sub/${part(2)}`), {
    code: 'ERR_UNSUPPORTED',
    message:
      /one of 3 parts of a split GGUF file.*give the first part, sub\/model-00001-of-00003\.gguf/,
  });
  delete server.repos['owner/split']!.files[`sub/${part(3)}`];
  await rm(cache, { recursive: true });
  await t.throwsAsync(openModel(first), {
    code: 'ERR_NOT_FOUND',
    message: /owner\/split has no file sub\/model-00003-of-00003\.gguf/,
  });
});

test.serial(
  'a download that is cut off goes on where it was, in one call and in the next',
  async (t) => {
    const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
    const size = statSync(join(TINY, 'model.safetensors')).size;
    server.cuts = [1_000_000, 500_000, 0, 0, 0, 0];
    await t.throwsAsync(openModel('owner/tiny'), {
      code: 'ERR_HUB',
      message:
        /model\.safetensors ends after 1\.5 MB of 3\.5 MB.*start again: it goes on from there/,
    });
    t.false(existsSync(join(cache, 'models--owner--tiny/refs')));
    const events: Progress[] = [];
    const { path } = await openModel('owner/tiny', { onProgress: (event) => events.push(event) });
    t.is(events.at(-1)?.total, size - 1_500_000);
    t.deepEqual(
      readFileSync(join(path, 'model.safetensors')),
      readFileSync(join(TINY, 'model.safetensors')),
    );
    const bodies = server.asked.filter(({ large, range }) => large && range !== 'bytes=0-0');
    t.deepEqual(
      [...new Set(bodies.map(({ range }) => range))],
      [undefined, `bytes=1000000-${size - 1}`, `bytes=1500000-${size - 1}`],
    );
    const blobs = await readdir(join(cache, 'models--owner--tiny/blobs'));
    t.true(blobs.every((name) => /^[0-9a-f]+$/.test(name)));
  },
);

test.serial('an abort ends a download with its reason, and what came stays', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const control = new AbortController();
  const reason = new Error('enough');
  const onProgress = ({ done }: Progress) => {
    if (done > 2_000_000) control.abort(reason);
  };
  const error = await t.throwsAsync(
    openModel('owner/tiny', { onProgress, signal: control.signal }),
  );
  t.is(error, reason);
  const blobs = join(cache, 'models--owner--tiny/blobs');
  const partial = (await readdir(blobs)).find((name) => name.endsWith('.incomplete'));
  t.true(statSync(join(blobs, partial!)).size > 1_000_000);
  await openModel('owner/tiny');
  t.true(server.asked.some(({ large, range }) => large && /^bytes=[1-9]/.test(range ?? '')));
});

test.serial("what the caller's listener throws ends a download", async (t) => {
  await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const own = new Error('mine');
  const onProgress = () => {
    throw own;
  };
  t.is(await t.throwsAsync(openModel('owner/tiny', { onProgress })), own);
});

test.serial('bytes of another hash are thrown away', async (t) => {
  const { server, cache } = await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const blobs = join(cache, 'models--owner--tiny/blobs');
  server.cuts = [1000, 0, 0, 0, 0];
  await t.throwsAsync(openModel('owner/tiny'), { code: 'ERR_HUB' });
  const [partial] = (await readdir(blobs)).filter((name) => name.endsWith('.incomplete'));
  await writeFile(join(blobs, partial!), Buffer.alloc(1000, 1));
  await t.throwsAsync(openModel('owner/tiny'), {
    code: 'ERR_HUB',
    message: /model\.safetensors arrived with other bytes than its hash says; start again/,
  });
  t.false(existsSync(join(blobs, partial!)));
  await t.notThrowsAsync(openModel('owner/tiny'));
});

test.serial('a token goes to the hub and not to where it sends for large files', async (t) => {
  const gated = { ...repoOf(TINY), gatedFor: 'hf_right' };
  const { server, cache } = await startHub(t, { 'owner/gated': gated });
  await t.throwsAsync(openModel('owner/gated'), {
    code: 'ERR_HUB',
    message: /owner\/gated is gated.*accept its terms at http.*\/owner\/gated, and set HF_TOKEN/,
  });
  process.env.HF_TOKEN = 'hf_wrong';
  await t.throwsAsync(openModel('owner/gated'), { code: 'ERR_HUB', message: /not been granted/ });
  delete process.env.HF_TOKEN;
  await mkdir(cache, { recursive: true });
  await writeFile(join(cache, '..', 'token'), 'hf_right\n');
  await t.notThrowsAsync(openModel('owner/gated'));
  const large = server.asked.filter((asked) => asked.large);
  t.true(large.length > 0);
  t.true(large.every(({ authorization }) => authorization === undefined));
});

test.serial('what the hub refuses, with the mend', async (t) => {
  const old = { files: {}, renamedTo: 'owner/tiny' };
  const { server } = await startHub(t, { 'owner/tiny': repoOf(TINY), 'owner/old': old });
  const refusal = async (name: string, code: string, message: RegExp) => {
    await t.throwsAsync(openModel(name), { code, message }, name);
  };
  await refusal(
    'owner/nothing',
    'ERR_NOT_FOUND',
    /no model owner\/nothing that everybody may read.*HF_TOKEN/,
  );
  await refusal('owner/tiny@v9', 'ERR_NOT_FOUND', /owner\/tiny has no revision v9; name one of/);
  await refusal(
    'owner/old',
    'ERR_NOT_FOUND',
    /owner\/old is called owner\/tiny now; give that name/,
  );
  process.env.HF_TOKEN = 'secret';
  await refusal('owner/tiny', 'ERR_HUB', /does not begin with hf_; make one at/);
  delete process.env.HF_TOKEN;
  server.status = 429;
  await refusal(
    'owner/tiny',
    'ERR_HUB',
    /wants fewer requests for a while \(429\).*later, or set HF_TOKEN/,
  );
  await server.stop();
  await refusal('owner/tiny', 'ERR_HUB', /cannot be reached \(ECONNREFUSED\); check the network/);
});

test.serial('a mistyped path is no name where its folder is here', async (t) => {
  const { server } = await startHub(t, {});
  await t.throwsAsync(openModel('assets/tini'), {
    code: 'ERR_NOT_FOUND',
    message: /assets\/tini: no such file or folder.*hf:assets\/tini is the hub's model/,
  });
  t.is(server.asked.length, 0);
});
