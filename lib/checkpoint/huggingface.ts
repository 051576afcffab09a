import { readdirSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { StruPruneError } from '../errors';
import { isObject, parseJsonObject } from '../json-object';
import type { ModelSource, StoredTensor } from '../model/architecture';
import { bindTensors } from '../model/bind';
import { familyNamed } from '../model/families';
import { packedNames, stackedNames, type TensorNames } from '../model/family';
import { architectureFromConfig, quantisationOf } from '../model/from-config';
import { namesInside, unwrap, weightsIn, wrapperOf } from '../model/wrapped';
import { floatsIn, parseConfig } from './config-text';
import { parseSafetensors } from './container';
import { readFolderFile } from './folder-file';
import { isGguf } from './output-path';

const CONFIG = 'config.json';
const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Opens a Hugging Face folder. @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED */
export async function openHuggingFace(folder: string): Promise<ModelSource> {
  const { config, floats } = readConfig(folder);
  const shards = await shardsOf(folder);
  const files = [...shards.keys()].map((name) => resolve(folder, name));
  const tensors = readTensors(files);
  requireIndexed(shards, tensors, folder);
  const where = join(folder, CONFIG);
  const wrapper = wrapperOf(config.model_type);
  const inside = wrapper && unwrap(wrapper, config, tensors, where);
  const text = inside?.config ?? config;
  const architecture = architectureFromConfig(text, where, tensors.size);
  const family = familyNamed(architecture.family);
  const { normOffset = 0, interleavedRope = false } = family.hf;
  const usual = inside ? namesInside(family.hf.names, inside.wrapped.layout) : family.hf.names;
  const isLoaded = (name: string) => !family.hf.unloaded || !name.startsWith(family.hf.unloaded);
  const all = inside?.tensors ?? withPrefix(tensors, usual);
  const stored = new Map([...all].filter(([name]) => isLoaded(name)));
  const stated = quantisationOf(text, family, where);
  // A checkpoint of gpt-oss that was written again in BF16 may still say what it was.
  const isPacked = [...stored.keys()].some((name) => name.endsWith('_blocks'));
  const quantisation = stated?.method === 'mxfp4' && !isPacked ? null : stated;
  const found = namesIn(stored, usual);
  const names = quantisation?.method === 'mxfp4' ? packedNames(found) : found;
  if (architecture.tiedEmbeddings) {
    await requireSameHead(stored.get(names.model.embedding!), stored.get(names.model.head!), files);
  }
  const bound = bindTensors(architecture, names, stored, folder, {
    interleavedRope,
    normOffset,
    quantisation,
  });
  const unloaded = [...tensors.keys()].filter((name) => !isLoaded(name));
  const source = {
    ...({ format: 'hf', path: folder, files, architecture, ...bound, config, floats } as const),
    ...(unloaded.length > 0 && { unloaded }),
  };
  if (!inside) return source;
  const others = inside.wrapped.others.filter(({ name }) => isLoaded(name));
  const wrapped = { ...inside.wrapped, others };
  return { ...source, parameters: bound.parameters + weightsIn(others), wrapped };
}

const REFUSAL = { code: 'ERR_CHECKPOINT', mend: 'fetch the checkpoint again' } as const;

function readConfig(folder: string): { config: Record<string, unknown>; floats: string[] } {
  const bytes = readFile(folder, CONFIG);
  const config = parseConfig(bytes, join(folder, CONFIG), REFUSAL);
  return { config, floats: floatsIn(bytes.toString('utf8')) };
}

function readFile(folder: string, name: string): Buffer {
  const bytes = readFolderFile(folder, name, REFUSAL);
  if (bytes) return bytes;
  throw new StruPruneError('ERR_NOT_FOUND', `there is no ${join(folder, name)}`, instead(folder));
}

/** What was probably meant by a folder that lacks a file. */
function instead(folder: string): string {
  const names = readdirSync(folder);
  if (names.includes('adapter_config.json')) {
    return "it is a PEFT adapter: load it on its base model, call merge_and_unload, and give the folder of that model's save_pretrained";
  }
  const file = names.filter(isGguf).sort()[0];
  if (file !== undefined) return `give a GGUF file by its own path: ${join(folder, file)}`;
  return 'give a folder that holds config.json and safetensors files';
}

/** Tensor files of the folder, each with the tensors that the index promises in it. */
async function shardsOf(folder: string): Promise<Map<string, string[]>> {
  const present = new Set(await readdir(folder));
  // As transformers: an index beside the one file is of an earlier one.
  if (present.has(SINGLE)) return new Map([[SINGLE, []]]);
  if (!present.has(INDEX)) throw noSafetensors(folder, present);
  const index = join(folder, INDEX);
  const weightMap = parseJsonObject(readFile(folder, INDEX), index, REFUSAL).weight_map;
  if (!isObject(weightMap)) throw notAnIndex(index);
  const shards = new Map<string, string[]>();
  for (const [tensor, file] of Object.entries(weightMap)) {
    // A path that leaves the folder is no shard of it.
    if (typeof file !== 'string' || file !== basename(file)) throw notAnIndex(index);
    if (!present.has(file)) {
      throw new StruPruneError(
        'ERR_CHECKPOINT',
        `${folder}: shard ${file} is missing (${INDEX} places ${tensor} there)`,
        'fetch the missing file',
      );
    }
    const promised = shards.get(file);
    if (promised) promised.push(tensor);
    else shards.set(file, [tensor]);
  }
  if (shards.size === 0) throw notAnIndex(index);
  return shards;
}

function notAnIndex(index: string): StruPruneError {
  return new StruPruneError(
    'ERR_CHECKPOINT',
    `${index} does not map tensors to files of this folder`,
    'fetch the checkpoint again',
  );
}

function noSafetensors(folder: string, present: Set<string>): StruPruneError {
  const pickled = [...present].find((name) => /^pytorch_model.*\.bin$/.test(name));
  if (pickled === undefined) {
    return new StruPruneError(
      'ERR_NOT_FOUND',
      `${folder} holds neither ${SINGLE} nor ${INDEX}`,
      'give a folder with safetensors files',
    );
  }
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${folder} holds pickled PyTorch weights (${pickled}), which can run code when read`,
    'load it with transformers and call save_pretrained, which writes safetensors',
  );
}

function readTensors(files: string[]): Map<string, StoredTensor> {
  const stored = new Map<string, StoredTensor>();
  files.forEach((path, file) => {
    for (const tensor of parseSafetensors(path).tensors) {
      if (stored.has(tensor.name)) {
        throw new StruPruneError(
          'ERR_CHECKPOINT',
          `${path}: tensor ${tensor.name} stands in another shard too`,
          'fetch the checkpoint again',
        );
      }
      stored.set(tensor.name, { ...tensor, file });
    }
  });
  return stored;
}

/** Checkpoints of the bare model, without its head's wrapper, lack the first part of names. */
function withPrefix(
  stored: Map<string, StoredTensor>,
  { model }: TensorNames,
): Map<string, StoredTensor> {
  const prefix = /^[^.]*\./.exec(model.embedding!)![0];
  if ([...stored.keys()].some((name) => name.startsWith(prefix))) return stored;
  return new Map(
    [...stored].map(([name, tensor]) => [name === model.head ? name : prefix + name, tensor]),
  );
}

/** As a file calls its tensors that may have the experts of a block in one. */
function namesIn(stored: Map<string, StoredTensor>, names: TensorNames): TensorNames {
  const usual = Object.values(names.block);
  const other = Object.values(names.stacked ?? {}).filter((name) => !usual.includes(name));
  const template = (name: string) => name.replace(/\.\d+\./, '.{}.');
  const stacks = [...stored.keys()].some((name) => other.includes(template(name)));
  return stacks ? stackedNames(names) : names;
}

function requireIndexed(
  shards: Map<string, string[]>,
  stored: Map<string, StoredTensor>,
  folder: string,
): void {
  const names = new Set([...stored.values()].map((tensor) => tensor.name));
  for (const [file, promised] of shards) {
    const absent = promised.find((name) => !names.has(name));
    if (absent !== undefined) {
      throw new StruPruneError(
        'ERR_CHECKPOINT',
        `${folder}: shard ${file} does not hold ${absent}, which ${INDEX} places there`,
        'fetch the shard again',
      );
    }
  }
}

/** Where a head is compared with the embedding that it is tied to. */
const SAMPLES = 64;

/**
 * Some tied checkpoints store the head as well. It is left out when it is the embedding's copy; transformers
 * unties them when they differ, which the configuration would deny. Pieces of the data tell.
 */
async function requireSameHead(
  embedding: StoredTensor | undefined,
  head: StoredTensor | undefined,
  files: string[],
): Promise<void> {
  if (embedding === undefined || head === undefined) return;
  if (embedding.dtype !== head.dtype) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `config.json ties ${head.name} to ${embedding.name}, but the file holds them as ${head.dtype} and ${embedding.dtype}`,
      'load it with transformers and call save_pretrained, which writes one of them',
    );
  }
  const [ours, theirs] = await Promise.all([sample(embedding, files), sample(head, files)]);
  if (ours.equals(theirs)) return;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `config.json ties ${head.name} to ${embedding.name}, but the file holds two different matrices`,
    'set tie_word_embeddings to false in config.json',
  );
}

/** Pieces of a tensor, evenly from its beginning to its end. */
async function sample({ bytes, offset, file: index }: StoredTensor, files: string[]) {
  const length = Math.min(4096, bytes);
  const pieces = Buffer.alloc(SAMPLES * length);
  const file = await open(files[index]!);
  try {
    for (let i = 0; i < SAMPLES; i++) {
      const at = Math.floor(((bytes - length) * i) / (SAMPLES - 1));
      await file.read(pieces, i * length, length, offset + at);
    }
  } finally {
    await file.close();
  }
  return pieces;
}
