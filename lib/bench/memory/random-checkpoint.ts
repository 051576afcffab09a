/** A Hugging Face folder of a real model's shape with random weights: there is nothing to download. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafetensorsWriter } from '../../checkpoint/safetensors-writer';
import { MODEL_ROLES } from '../../model/architecture';
import { elements, modelShapes } from '../../model/axes';
import { familyNamed } from '../../model/families';
import { fileTensors } from '../../model/file-tensors';
import { architectureFromConfig } from '../../model/from-config';
import { isNorm } from '../../model/sublayers';
import { uniform } from '../../random';

/** Half-precision numbers of one piece: what is in memory at a time. */
const PIECE = 1 << 20;
/** Standard deviation of OPT's initial weights. */
const SPREAD = 0.02;

/**
 * Writes weights of N(0, 0.02²) in float16 and norms of 1, tensor after tensor. All tensors are cut out of one pool of
 * numbers, each from a place of its own, so that it takes little more than the disk. `tokenizerFrom` is a folder with
 * tokenizer.json.
 */
export async function writeRandomCheckpoint(
  folder: string,
  config: Record<string, unknown>,
  tokenizerFrom: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const architecture = architectureFromConfig(config, 'random checkpoint');
  const { names } = familyNamed(architecture.family).hf;
  const shapes = modelShapes(architecture);
  const outer = MODEL_ROLES.flatMap((role) => {
    const shape = shapes[role];
    return shape ? [{ name: names.model[role]!, shape, norm: isNorm(role) }] : [];
  });
  const inner = architecture.blocks.flatMap((_, block) =>
    fileTensors(architecture, names, block).map(({ name, shape, parts }) => ({
      name,
      shape,
      norm: isNorm(parts[0]!.role),
    })),
  );
  const tensors = [...outer, ...inner];
  const writer = await SafetensorsWriter.create(
    folder,
    tensors.map(({ name, shape }) => ({ name, shape, dtype: 'F16' })),
  );
  const next = uniform(1);
  const pool = Uint16Array.from({ length: 2 * PIECE }, () => half(SPREAD * normal(next)));
  const ones = new Uint16Array(PIECE).fill(half(1));
  for (const { name, shape, norm } of tensors) {
    let left = elements(shape);
    while (left > 0) {
      const count = Math.min(left, PIECE);
      const from = norm ? 0 : Math.floor(next() * PIECE);
      const piece = (norm ? ones : pool).subarray(from, from + count);
      await writer.append(name, new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
      left -= count;
    }
  }
  await writer.close();
  await writeFile(join(folder, 'config.json'), JSON.stringify(config, null, 2));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(tokenizerFrom, file), join(folder, file));
  }
}

/** Box-Muller. */
function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

/** Bits of the nearest float16 at or below in size; the values here are normal numbers or become 0. */
function half(value: number): number {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer);
  const exponent = ((bits! >>> 23) & 0xff) - 112;
  if (exponent <= 0) return 0;
  return ((bits! >>> 16) & 0x8000) | (exponent << 10) | ((bits! >>> 13) & 0x3ff);
}
