/** What is written stays away from what is read: a file or folder that is replaced takes along whatever lies there. */
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { StruPruneError } from '../errors';
import type { ModelSource } from '../model/architecture';

/** A path, and what a message calls it. */
export type Named = readonly [name: string, path: string];

/** Beside weights, what is read of a Hugging Face folder: configuration and tokenizer. */
const PARTS = /\.(json|txt|jinja)$/;

/** The files of a model, which may be links to anywhere. */
export async function modelFiles({ format, path, files }: ModelSource): Promise<Named[]> {
  const names = format === 'hf' ? await readdir(path) : [];
  const parts = names.filter((name) => PARTS.test(name)).map((name) => join(path, name));
  return [
    ['the model itself', path],
    ...[...files, ...parts].map((file) => [`${basename(file)} of the model`, file] as const),
  ];
}

/**
 * Refuses to write where that would remove what is read: at the same path, or a folder around it.
 * @throws StruPruneError ERR_OUTPUT
 */
export async function requireApart(
  written: readonly Named[],
  read: readonly Named[],
): Promise<void> {
  const inputs = await Promise.all(
    read.map(async ([name, path]) => ({ name, at: await places(path) })),
  );
  for (const [target, path] of written) {
    const outputs = await places(path);
    for (const { name, at } of inputs) {
      const same = at.some((place) => outputs.includes(place));
      const around = at.some((place) => outputs.some((output) => place.startsWith(output + sep)));
      if (!same && !around) continue;
      throw new StruPruneError(
        'ERR_OUTPUT',
        `${target} ${same ? 'is' : 'contains'} ${name}`,
        'give another path',
      );
    }
  }
}

/** Where a path leads to, and where it lies itself if it is a symbolic link; none where nothing is there. */
async function places(path: string): Promise<string[]> {
  const target = await realPath(path);
  if (target === undefined) return [];
  const full = resolve(path);
  const folder = await realPath(dirname(full));
  return folder === undefined ? [target] : [target, join(folder, basename(full))];
}

/** Without symbolic links; undefined where nothing is there. */
function realPath(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}
