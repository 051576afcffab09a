/** Files of a folder that go into an output as they are, but for references to code. */
import { join } from 'node:path';
import { parseJsonObject } from '../json-object';
import type { Refusal } from '../regular-file';
import { withoutCode } from './code-references';
import { readFolderFile } from './folder-file';

export interface OutputFile {
  /** May lead into a folder. */
  name: string;
  text: string | Uint8Array;
}

export interface Copied {
  files: OutputFile[];
  /** References to code that were left out. */
  dropped: string[];
}

interface Names {
  plain: readonly string[];
  /** Configurations: in other JSON files keys may be tokens. */
  configs: readonly string[];
}

/** Those that are there. @throws StruPruneError as readFolderFile */
export function copiedFiles(
  folder: string,
  { plain, configs }: Names,
  refusal: Refusal,
  most?: number,
): Copied {
  const copied: Copied = { files: [], dropped: [] };
  for (const name of [...plain, ...configs]) {
    const text = readFolderFile(folder, name, refusal, most);
    if (text === null) continue;
    const { value, dropped } = configs.includes(name)
      ? withoutCode(parseJsonObject(text, join(folder, name), refusal), name)
      : { value: null, dropped: [] };
    const kept = dropped.length === 0 ? text : `${JSON.stringify(value, null, 2)}\n`;
    copied.files.push({ name, text: kept });
    copied.dropped.push(...dropped);
  }
  return copied;
}
