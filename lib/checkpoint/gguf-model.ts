import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';

import { StruPruneError } from '../errors';
import type { ModelSource, StoredTensor } from '../model/architecture';
import { bindTensors } from '../model/bind';
import { ggufNames } from '../model/families/names';
import { parseGguf } from './container';
import { architectureFromGguf } from './from-gguf';
import { readSplit } from './gguf-split';

/** Longest vector that is read while opening: rotary divisors, one per pair of a head. */
const MAX_VECTOR = 4096;

/** More entries than any array of one value a block; vocabularies are the tokenizer thread's. */
const LONGEST_ARRAY = 4096;

/** Opens a GGUF file, or a split one by its first part. @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED */
export async function openGguf(path: string): Promise<ModelSource> {
  const file = resolve(path);
  const parsed = parseGguf(file, LONGEST_ARRAY);
  const { files, tensors } = readSplit(file, parsed);
  const stored = new Map<string, StoredTensor>(tensors.map((tensor) => [tensor.name, tensor]));
  const values = Object.entries(parsed.metadata).map(([key, entry]) => [key, entry.value]);
  const { architecture, family } = architectureFromGguf(
    Object.fromEntries(values) as Record<string, unknown>,
    {
      count: stored.size,
      has: (name) => stored.has(name),
      shape: (name) => stored.get(name)?.shape,
      vector: (name) => readVector(files, stored.get(name)!),
    },
    path,
  );
  const { interleavedRope } = family.gguf!;
  const layout = { interleavedRope, normOffset: 0, decayAsRate: true };
  const named = parsed.metadata['general.architecture']!.value as string;
  const names = ggufNames(family.gguf!, named);
  const stated = parsed.metadata[`${named}.block_count`]!.value as number;
  const unloaded = [...stored.keys()].filter((name) => {
    const block = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
    return block >= architecture.blocks.length && block < stated;
  });
  for (const name of unloaded) stored.delete(name);
  const bound = bindTensors(architecture, names, stored, path, layout);
  return {
    format: 'gguf',
    path,
    files,
    architecture,
    ...bound,
    ...(unloaded.length > 0 && { unloaded }),
    config: parsed.metadata,
  };
}

function readVector(files: readonly string[], tensor: StoredTensor): Float32Array {
  const path = files[tensor.file]!;
  const length = tensor.shape[0] ?? 0;
  if (tensor.dtype !== 'F32' || tensor.shape.length !== 1 || length > MAX_VECTOR) {
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${path}: ${tensor.name} is not a short F32 vector`,
      'convert the model again',
    );
  }
  const bytes = Buffer.alloc(length * 4);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, bytes.length, tensor.offset);
  } finally {
    closeSync(file);
  }
  return Float32Array.from({ length }, (_, index) => bytes.readFloatLE(index * 4));
}
