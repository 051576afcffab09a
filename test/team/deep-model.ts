import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { safetensorsBytes } from '../e2e/files';

const TINY = join(__dirname, '../../assets/tiny');

/** The embedded model, or another, with its blocks so many times, in a new folder: more batches of trials. */
export function deepModel(folder: string, times: number, source = TINY): string {
  mkdirSync(folder);
  for (const name of readdirSync(source)) copyFileSync(join(source, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8'));
  const blocks: number = config.num_hidden_layers;
  const deeper = { ...config, num_hidden_layers: times * blocks };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(deeper));
  const namesOf = (name: string) => {
    const [, before, block, after] = /^(.*\.layers\.)(\d+)(\..*)$/.exec(name) ?? [];
    if (block === undefined) return [name];
    return Array.from(
      { length: times },
      (_, time) => `${before}${Number(block) + time * blocks}${after}`,
    );
  };
  writeFileSync(join(folder, 'model.safetensors'), safetensorsBytes(source, namesOf));
  return folder;
}
