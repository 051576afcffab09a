import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A file that must be refused, and how. */
export interface HostileFile {
  /** File name without its extension; says what is wrong. */
  name: string;
  bytes: Buffer;
  /** The file is that long, with a hole after `bytes`. */
  length?: number;
  code: 'ERR_CHECKPOINT' | 'ERR_UNSUPPORTED';
  message: RegExp;
}

/** Writes the file and returns its path. */
export async function writeHostile(
  folder: string,
  file: HostileFile,
  extension: 'safetensors' | 'gguf',
): Promise<string> {
  const path = join(folder, `${file.name}.${extension}`);
  await writeFile(path, file.bytes);
  if (file.length !== undefined) await truncate(path, file.length);
  return path;
}
