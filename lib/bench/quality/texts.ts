import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { readWindows, type TextOptions } from '../../calibration/text';
import type { BenchText } from '../../documents/bench';
import { StruPruneError } from '../../errors';
import type { ModelSource } from '../../model/architecture';

/** A text and its tokens, whole windows. */
export interface TokenisedText {
  about: BenchText;
  ids: Int32Array;
}

/** @throws StruPruneError as readWindows */
export async function tokenise(
  source: ModelSource,
  path: string,
  options: TextOptions,
): Promise<TokenisedText> {
  const ids = await readWindows(source, path, options);
  const sha256 = await hashOf(path, options.signal);
  const { window } = options;
  return { about: { name: basename(path), path, sha256, tokens: ids.length, window }, ids };
}

async function hashOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk);
  return hash.digest('hex');
}

/** Rows name texts by their file names. */
export function requireDistinct(paths: readonly string[]): void {
  const names = paths.map((path) => basename(path));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `two texts are called ${twice}`,
    'give texts with different file names',
  );
}
