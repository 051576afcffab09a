/** What a folder has of this program, so that `--force` takes away nothing else. */
import { lstat, readdir, rename, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { parseJsonObject } from '../json-object';
import { readRegular } from '../regular-file';

const MANIFEST = '.struprune-manifest.json';
const PARTIAL = `${MANIFEST}.partial`;

const REFUSAL = {
  code: 'ERR_OUTPUT',
  mend: 'give another path, or remove the folder yourself',
} as const;

/** Bytes of every file by its path in the folder, with `/`. */
type Sizes = Record<string, unknown>;

/** Lists everything that is in a folder as the program's own. */
export async function writeManifest(folder: string): Promise<void> {
  await put(folder, await sizesIn(folder));
}

/** Adds one file of a folder that has a manifest. */
export async function addToManifest(folder: string, file: string): Promise<void> {
  const { size } = await lstat(file);
  await put(folder, { ...readManifest(folder), [nameIn(folder, file)]: size });
}

/** Paths in a folder of what the program did not write, or that have another size by now; null: it wrote nothing there. */
export async function foreignIn(folder: string): Promise<string[] | null> {
  const known = readManifest(folder);
  if (known === null) return null;
  const found = Object.entries(await sizesIn(folder));
  return found.filter(([name, size]) => known[name] !== size).map(([name]) => name);
}

function readManifest(folder: string): Sizes | null {
  const path = join(folder, MANIFEST);
  const bytes = readRegular(path, REFUSAL);
  return bytes && parseJsonObject<Sizes>(bytes, path, REFUSAL);
}

async function put(folder: string, sizes: Sizes): Promise<void> {
  const sorted = Object.fromEntries(Object.entries(sizes).sort(([a], [b]) => (a < b ? -1 : 1)));
  const partial = join(folder, PARTIAL);
  await writeFile(partial, `${JSON.stringify(sorted, null, 2)}\n`, { flush: true });
  await rename(partial, join(folder, MANIFEST));
}

const nameIn = (folder: string, path: string) => relative(folder, path).split(sep).join('/');

/** Of what is no file, a link for one, the size is -1, which no manifest has. */
async function sizesIn(folder: string): Promise<Record<string, number>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  const sizes = files.map(async (entry): Promise<[string, number]> => {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    return [nameIn(folder, path), entry.isFile() ? (await lstat(path)).size : -1];
  });
  const all = await Promise.all(sizes);
  return Object.fromEntries(all.filter(([name]) => name !== MANIFEST && name !== PARTIAL));
}
