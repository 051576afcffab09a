/** What lies on the disk after a run, read without the library. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** SHA-256 of every file of a folder by name, or of the file under ''. */
export function hashesOf(path: string): Record<string, string> {
  const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  if (!statSync(path).isDirectory()) return { '': hash(path) };
  const names = readdirSync(path).sort();
  return Object.fromEntries(names.map((name) => [name, hash(join(path, name))]));
}

interface Tensor {
  dtype: string;
  shape: number[];
  bytes: Buffer;
}

/** Every tensor of a folder's safetensors files, by name. */
export function safetensors(folder: string): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
    const bytes = readFileSync(join(folder, file));
    const end = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, end).toString('utf8'));
    delete header.__metadata__;
    type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };
    for (const [name, { dtype, shape, data_offsets: at }] of Object.entries<Entry>(header)) {
      tensors[name] = { dtype, shape, bytes: bytes.subarray(end + at[0], end + at[1]) };
    }
  }
  return tensors;
}

/** A safetensors file of a folder's tensors, each under all names that `namesOf` gives it. */
export function safetensorsBytes(folder: string, namesOf: (name: string) => string[]): Buffer {
  let end = 0;
  const pieces: Buffer[] = [];
  const entries = Object.entries(safetensors(folder)).flatMap(([own, { bytes, ...about }]) =>
    namesOf(own).map((name) => {
      const start = end;
      end += bytes.length;
      pieces.push(bytes);
      return [name, { ...about, data_offsets: [start, end] }];
    }),
  );
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, ...pieces]);
}

/** Transposes the matrices of experts, `[experts, rows, columns]` of 16 bits, in a folder's one file, in place. */
export function turnExperts(folder: string): void {
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, end).toString('utf8'));
  for (const [name, entry] of Object.entries<{ shape: number[]; data_offsets: number[] }>(header)) {
    if (!/\.experts\.(gate_up|down)_proj$/.test(name)) continue;
    const [experts, rows, columns] = entry.shape as [number, number, number];
    const data = bytes.subarray(end + entry.data_offsets[0]!, end + entry.data_offsets[1]!);
    const own = Buffer.from(data);
    const at = (expert: number, i: number) => 2 * (expert * rows * columns + i);
    for (let expert = 0; expert < experts; expert++) {
      for (let i = 0; i < rows * columns; i++) {
        const to = (i % columns) * rows + Math.floor(i / columns);
        own.copy(data, at(expert, to), at(expert, i), at(expert, i) + 2);
      }
    }
    entry.shape = [experts, columns, rows];
  }
  // As long as before: lengths have traded places.
  bytes.write(JSON.stringify(header).padEnd(end - 8), 8);
  writeFileSync(path, bytes);
}

/** Shapes of all tensors of a folder's safetensors files, by name. */
export function safetensorsShapes(folder: string): Record<string, number[]> {
  const tensors = Object.entries(safetensors(folder));
  return Object.fromEntries(tensors.map(([name, { shape }]) => [name, shape]));
}

/** A float32 tensor of a folder's safetensors files. */
export function safetensorsValues(folder: string, name: string): number[] {
  const { bytes } = safetensors(folder)[name]!;
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

export function elements(shapes: Record<string, number[]>): number {
  const sizes = Object.values(shapes).map((shape) => shape.reduce((size, n) => size * n, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The bytes of a matrix's rows, in any dtype. */
export function safetensorsRows(folder: string, name: string): string[] {
  const { shape, bytes } = safetensors(folder)[name]!;
  const size = bytes.length / shape[0]!;
  return Array.from({ length: shape[0]! }, (_, row) =>
    bytes.toString('hex', row * size, (row + 1) * size),
  );
}
