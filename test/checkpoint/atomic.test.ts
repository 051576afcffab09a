import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';

import { AtomicFile, AtomicFolder } from '../../lib/checkpoint/atomic';
import { outputError } from '../../lib/checkpoint/output-error';

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-atomic-'));
  folders.push(folder);
  return folder;
}
test.after.always(() => Promise.all(folders.map((f) => rm(f, { recursive: true, force: true }))));

const text = (value: string) => Buffer.from(value);

test('a file appears at its commit, whole', async (t) => {
  const folder = await newFolder();
  const file = await AtomicFile.create(join(folder, 'out'));
  await file.write(text('one '));
  await file.write(text('two'));
  t.false((await readdir(folder)).includes('out'));
  await file.commit();
  t.deepEqual(await readdir(folder), ['out']);
  t.is(await readFile(join(folder, 'out'), 'utf8'), 'one two');
  await file.abort();
  t.deepEqual(await readdir(folder), ['out']);
});

test('an aborted file and the folders made for it are gone', async (t) => {
  const folder = await newFolder();
  const file = await AtomicFile.create(join(folder, 'new', 'deep', 'out'));
  await file.write(text('half'));
  await file.abort();
  t.deepEqual(await readdir(folder), []);
});

test('an existing file is refused unless it may be replaced', async (t) => {
  const path = join(await newFolder(), 'out');
  await writeFile(path, 'old');
  const error = await t.throwsAsync(AtomicFile.create(path), { code: 'ERR_OUTPUT' });
  t.regex(error.message, /exists already; .*force: true/);
  const file = await AtomicFile.create(path, { replace: true });
  await file.write(text('new'));
  t.is(await readFile(path, 'utf8'), 'old');
  await file.commit();
  t.is(await readFile(path, 'utf8'), 'new');
});

test('a file that somebody else made meanwhile is not overwritten', async (t) => {
  const path = join(await newFolder(), 'out');
  const file = await AtomicFile.create(path);
  await writeFile(path, 'theirs');
  await t.throwsAsync(file.commit(), { code: 'ERR_OUTPUT' });
  await file.abort();
  t.is(await readFile(path, 'utf8'), 'theirs');
});

test('a folder appears at its commit, whole', async (t) => {
  const parent = await newFolder();
  const folder = await AtomicFolder.create(join(parent, 'model'));
  await writeFile(join(folder.path, 'config.json'), '{}');
  await mkdir(join(folder.path, 'sub'));
  await writeFile(join(folder.path, 'sub', 'x'), 'x');
  t.false((await readdir(parent)).includes('model'));
  await folder.commit();
  t.deepEqual(await readdir(parent), ['model']);
  const names = ['.struprune-manifest.json', 'config.json', 'sub'];
  t.deepEqual((await readdir(join(parent, 'model'))).sort(), names);
  await folder.abort();
  t.deepEqual((await readdir(join(parent, 'model'))).sort(), names);
});

test('an aborted folder and its parents are gone, a parent in use stays', async (t) => {
  const parent = await newFolder();
  const folder = await AtomicFolder.create(join(parent, 'a', 'b', 'model'));
  await writeFile(join(folder.path, 'half'), '');
  await writeFile(join(parent, 'a', 'mine'), '');
  await folder.abort();
  t.deepEqual(await readdir(join(parent, 'a')), ['mine']);
});

/** A folder as the program leaves it. */
async function written(target: string, files: Record<string, string>): Promise<void> {
  const folder = await AtomicFolder.create(target, { replace: true });
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder.path, name)), { recursive: true });
    await writeFile(join(folder.path, name), text);
  }
  await folder.commit();
}

test('a folder of our own is replaced as a whole, only when allowed', async (t) => {
  const parent = await newFolder();
  const target = join(parent, 'model');
  await written(target, { 'config.json': 'old', 'sub/left-over': '' });
  await t.throwsAsync(AtomicFolder.create(target), { code: 'ERR_OUTPUT' });
  const folder = await AtomicFolder.create(target, { replace: true });
  await writeFile(join(folder.path, 'config.json'), 'new');
  await folder.commit();
  t.deepEqual(await readdir(parent), ['model']);
  t.deepEqual((await readdir(target)).sort(), ['.struprune-manifest.json', 'config.json']);
  t.is(await readFile(join(target, 'config.json'), 'utf8'), 'new');
});

test('nothing of others in a folder of our own is removed, nor what they changed', async (t) => {
  const files = { 'config.json': '{}', 'README.md': 'card', 'templates/a.jinja': '{{ x }}' };
  const changes: [name: string, text: string][] = [
    ['notes.txt', 'precious'],
    ['templates/mine.txt', 'precious'],
    ['README.md', 'card, and what I found out'],
  ];
  for (const [name, text] of changes) {
    const target = join(await newFolder(), 'model');
    await written(target, files);
    await writeFile(join(target, name), text);
    const error = await t.throwsAsync(AtomicFolder.create(target, { replace: true }), {
      code: 'ERR_OUTPUT',
    });
    t.true(error.message.includes(`(${name})`), error.message);
    t.regex(error.message, /not replaced; move that elsewhere/);
    t.is(await readFile(join(target, name), 'utf8'), text);
  }
  const linked = join(await newFolder(), 'model');
  await written(linked, files);
  await rm(join(linked, 'README.md'));
  await symlink('config.json', join(linked, 'README.md'));
  await t.throwsAsync(AtomicFolder.create(linked, { replace: true }), {
    message: /\(README\.md\)/,
  });
});

test('what comes into a folder while a run works keeps it from being replaced', async (t) => {
  const target = join(await newFolder(), 'model');
  await written(target, { 'config.json': 'old' });
  const folder = await AtomicFolder.create(target, { replace: true });
  await writeFile(join(target, 'notes.txt'), 'precious');
  await t.throwsAsync(folder.commit(), { code: 'ERR_OUTPUT', message: /notes\.txt/ });
  await folder.abort();
  t.is(await readFile(join(target, 'notes.txt'), 'utf8'), 'precious');
});

test('a folder of others is never replaced, be it a checkpoint', async (t) => {
  const target = join(await newFolder(), 'home');
  await mkdir(target);
  await writeFile(join(target, 'config.json'), '{}');
  await writeFile(join(target, 'thesis.txt'), 'precious');
  const error = await t.throwsAsync(AtomicFolder.create(target, { replace: true }), {
    code: 'ERR_OUTPUT',
  });
  t.regex(error.message, /is not a folder that this program wrote/);
  t.is(await readFile(join(target, 'thesis.txt'), 'utf8'), 'precious');
});

test('files and folders do not replace each other', async (t) => {
  const parent = await newFolder();
  await writeFile(join(parent, 'file'), '');
  await mkdir(join(parent, 'folder'));
  const options = { replace: true };
  const refused = { code: 'ERR_OUTPUT', message: /is a f\w+, and a f\w+ is to be written/ };
  await t.throwsAsync(AtomicFolder.create(join(parent, 'file'), options), refused);
  await t.throwsAsync(AtomicFile.create(join(parent, 'folder'), options), refused);
  await symlink(join(parent, 'folder'), join(parent, 'link'));
  await t.throwsAsync(AtomicFolder.create(join(parent, 'link'), options), {
    code: 'ERR_OUTPUT',
    message: /link is a symbolic link, .*; give the path that it leads to/,
  });
});

test('a path below a file is named as such', async (t) => {
  const parent = await newFolder();
  await writeFile(join(parent, 'file'), '');
  await t.throwsAsync(AtomicFile.create(join(parent, 'file', 'out')), {
    code: 'ERR_OUTPUT',
    message: /a part of the path is a file/,
  });
});

test('a folder that may not be written is named as such', async (t) => {
  if (process.getuid?.() === 0) {
    // Permissions do not stop root; /proc stops everybody.
    const error = await t.throwsAsync(AtomicFile.create('/proc/out'), { code: 'ERR_OUTPUT' });
    t.regex(error.message, /cannot write \/proc\/out/);
    return;
  }
  const parent = await newFolder();
  await chmod(parent, 0o500);
  await t.throwsAsync(AtomicFolder.create(join(parent, 'model')), {
    code: 'ERR_OUTPUT',
    message: /may not write there/,
  });
});

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux('a full disk is named as such, with the mend', async (t) => {
  // Writes to /dev/full fail as on a full disk.
  const full = await open('/dev/full', 'w');
  const cause = await t.throwsAsync(full.writeFile(text('x')));
  await full.close();
  const error = outputError('/somewhere/model', cause);
  t.is(error.code, 'ERR_OUTPUT');
  t.regex(error.message, /cannot write \/somewhere\/model: the disk is full; free some space/);
});
