import { homedir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { asHubName, hubModel } from '../../lib/hub/name';
import { hubSettings } from '../../lib/hub/settings';
import { modelName, repoOfSnapshot } from '../../lib/model/name';

const NAMES: [given: string, repo: string, revision: string, file: string | null][] = [
  ['Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', 'main', null],
  ['Qwen/Qwen3-0.6B@v1.0', 'Qwen/Qwen3-0.6B', 'v1.0', null],
  ['hf:owner/name', 'owner/name', 'main', null],
  ['hf:owner/name@refs/pr/1', 'owner/name', 'refs/pr/1', null],
  ['hf:owner/name/model-Q4_0.gguf', 'owner/name', 'main', 'model-Q4_0.gguf'],
  ['hf:owner/name@dev/sub/model.gguf', 'owner/name', 'dev', 'sub/model.gguf'],
  ['https://huggingface.co/owner/name', 'owner/name', 'main', null],
  ['https://www.huggingface.co/owner/name/', 'owner/name', 'main', null],
  ['hf.co/owner/name', 'owner/name', 'main', null],
  ['https://huggingface.co/owner/name/tree/refs/pr/1', 'owner/name', 'refs/pr/1', null],
  [
    'https://huggingface.co/owner/name/resolve/main/sub/model.gguf?download=true',
    'owner/name',
    'main',
    'sub/model.gguf',
  ],
];
for (const [given, repo, revision, file] of NAMES) {
  test(`${given} is a name`, (t) => {
    t.deepEqual(hubModel(given), { repo, revision, file });
  });
}

// lib/ is a folder of this repository: what stands behind it is mistyped.
for (const path of [
  'model',
  './a/b',
  '/a/b',
  'a/b/c',
  'a/b.gguf',
  'a/../b',
  'lib/nothing',
  'lib/hub',
  '',
]) {
  test(`'${path}' is a path`, (t) => {
    t.is(hubModel(path), null);
  });
}

for (const name of [
  'hf:',
  'hf:name',
  'hf:a/b/model.bin',
  'hf:a/../b',
  'hf:a/b@',
  'hf:a/b/../x.gguf',
  'https://huggingface.co/name',
  'https://huggingface.co/datasets/owner/name',
  'https://huggingface.co/owner/name/blob/main/config.json',
  'https://example.org/owner/name',
]) {
  test(`${name} is refused`, (t) => {
    t.throws(() => hubModel(name), { code: 'ERR_ARGUMENT', message: /hf:owner\/name@revision/ });
  });
}

test('a path that looks like a name', (t) => {
  t.is(asHubName('lib/nothing'), 'hf:lib/nothing');
  t.is(asHubName('./nothing'), null);
});

test('a snapshot of the cache bears the name of its repository', (t) => {
  const snapshot = '/cache/models--owner--some-name/snapshots/0123';
  t.is(repoOfSnapshot(snapshot), 'owner/some-name');
  t.is(modelName(`${snapshot}/`), 'owner/some-name');
  t.is(repoOfSnapshot('/cache/models--owner--name/blobs/0123'), null);
  t.is(modelName('/models/tiny'), 'tiny');
});

const PLACES: [what: string, env: NodeJS.ProcessEnv, cache: string][] = [
  ['no variable', {}, join(homedir(), '.cache/huggingface/hub')],
  ['XDG_CACHE_HOME', { XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
  ['HF_HOME', { HF_HOME: '/h', XDG_CACHE_HOME: '/x' }, '/h/hub'],
  ['HF_HOME with a tilde', { HF_HOME: '~/h' }, join(homedir(), 'h/hub')],
  ['the older name', { HUGGINGFACE_HUB_CACHE: '/o', HF_HOME: '/h' }, '/o'],
  ['HF_HUB_CACHE', { HF_HUB_CACHE: '/c', HUGGINGFACE_HUB_CACHE: '/o', HF_HOME: '/h' }, '/c'],
];
for (const [what, env, cache] of PLACES) {
  test(`the cache by ${what}`, (t) => {
    t.is(hubSettings(env).cache, cache);
  });
}

test('the hub, the token and offline by their variables', (t) => {
  const env = { HF_ENDPOINT: 'https://mirror.test/', HF_TOKEN: ' hf_a\n', HF_HUB_OFFLINE: 'ON' };
  const { endpoint, token, offline } = hubSettings(env);
  t.deepEqual([endpoint, token, offline], ['https://mirror.test', 'hf_a', true]);
  const none = hubSettings({ HF_HOME: '/nothing' });
  const { endpoint: usual, token: nobody, offline: online } = none;
  t.deepEqual([usual, nobody, online], ['https://huggingface.co', undefined, false]);
});
