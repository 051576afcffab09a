/** Writes all hostile files and a sound one into FOLDER/safetensors and FOLDER/gguf, specs into FOLDER/specs: seeds for the fuzzers. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hostileGguf, soundGguf } from './gguf';
import { type HostileFile, writeHostile } from './hostile-file';
import { hostileSafetensors, soundSafetensors } from './safetensors';
import { specs } from './specs';

/** Holes make bad seeds. */
const LONGEST_SEED = 4096;

async function main(folder: string): Promise<void> {
  const kinds = [
    ['safetensors', soundSafetensors, hostileSafetensors],
    ['gguf', soundGguf, hostileGguf],
  ] as const;
  for (const [extension, sound, hostile] of kinds) {
    const own = join(folder, extension);
    await mkdir(own, { recursive: true });
    const files = [{ name: 'sound', bytes: sound } as HostileFile, ...hostile];
    for (const file of files) {
      if ((file.length ?? file.bytes.length) <= LONGEST_SEED) {
        await writeHostile(own, file, extension);
      }
    }
  }
  await mkdir(join(folder, 'specs'), { recursive: true });
  for (const [name, spec] of Object.entries(specs)) {
    await writeFile(join(folder, 'specs', `${name}.json`), JSON.stringify(spec));
  }
}

main(process.argv[2]!);
