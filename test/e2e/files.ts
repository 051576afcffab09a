/** What lies on the disk after a run, read without the library. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** SHA-256 of every file of a folder by name, or of the file under ''. */
export function hashesOf(path: string): Record<string, string> {
  const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  if (!statSync(path).isDirectory()) return { '': hash(path) };
  const names = readdirSync(path).sort();
  return Object.fromEntries(names.map((name) => [name, hash(join(path, name))]));
}

/** Shapes of all tensors of a folder's safetensors files, by name. */
export function safetensorsShapes(folder: string): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
    const bytes = readFileSync(join(folder, file));
    const end = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, end).toString('utf8'));
    for (const [name, { shape }] of Object.entries<{ shape: number[] }>(header)) {
      if (name !== '__metadata__') shapes[name] = shape;
    }
  }
  return shapes;
}

export function elements(shapes: Record<string, number[]>): number {
  const sizes = Object.values(shapes).map((shape) => shape.reduce((size, n) => size * n, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}
