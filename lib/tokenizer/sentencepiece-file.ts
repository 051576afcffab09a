/**
 * `tokenizer.model`, SentencePiece's own file (sentencepiece_model.proto), of the folders that have no tokenizer.json: Llama's and
 * Mistral's older ones.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { StruPruneError } from '../errors';
import { GGML, SPECIAL_TOKEN_KEYS } from './gguf-vocabulary';
import type { Metadata } from './metadata';
import { TOKEN_TYPE } from './types';

/** Field numbers of the messages. */
const MODEL = { piece: 1, trainer: 2, normalizer: 3 };
const PIECE = { piece: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3, spaceIsSuffix: 24, unk: 40, bos: 41, eos: 42, pad: 43 };
const NORMALIZER = { charsmap: 2, dummyPrefix: 3, removesSpaces: 4, escapesSpaces: 5 };
const BPE = 2;

type Fields = Map<number, (number | Uint8Array)[]>;

/**
 * The file as metadata of a GGUF file of the kind "llama", whose types of tokens have the same numbers.
 * @throws StruPruneError ERR_TOKENIZER for a damaged file, ERR_UNSUPPORTED for one that is no BPE or changes the text otherwise than
 *   at spaces
 */
export function metadataOfSentencePiece(bytes: Uint8Array, path: string): Metadata {
  try {
    return metadataOf(fieldsOf(bytes), path);
  } catch (cause) {
    if (cause instanceof StruPruneError) throw cause;
    const text = `${path} is damaged: ${(cause as Error).message}`;
    throw new StruPruneError('ERR_TOKENIZER', text, 'get the file again', { cause });
  }
}

function metadataOf(model: Fields, path: string): Metadata {
  const trainer = fieldsOf(bytesOf(model, MODEL.trainer));
  const normalizer = fieldsOf(bytesOf(model, MODEL.normalizer));
  const refuse = (what: string) => {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the tokenizer in ${path} ${what}`,
      'load it with AutoTokenizer of transformers and call save_pretrained, which writes tokenizer.json',
    );
  };
  if (numberOf(trainer, TRAINER.modelType, 1) !== BPE) refuse('is no BPE');
  if (numberOf(trainer, TRAINER.spaceIsSuffix, 0)) refuse('puts spaces behind words');
  if (!numberOf(normalizer, NORMALIZER.escapesSpaces, 1)) refuse('does not mark spaces');
  if (bytesOf(normalizer, NORMALIZER.charsmap).length > 0) refuse('replaces characters');
  if (numberOf(normalizer, NORMALIZER.removesSpaces, 1)) refuse('removes spaces');
  const pieces = (model.get(MODEL.piece) ?? []).map((piece) => fieldsOf(asBytes(piece)));
  if (pieces.length === 0) throw new Error('it has no pieces');
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const special = (field: number, otherwise: number) => {
    const id = numberOf(trainer, field, otherwise) | 0;
    return id < 0 ? undefined : id;
  };
  return {
    [`${GGML}model`]: 'llama',
    [`${GGML}tokens`]: pieces.map((piece) => utf8.decode(bytesOf(piece, PIECE.piece))),
    [`${GGML}scores`]: Float32Array.from(pieces, (piece) => numberOf(piece, PIECE.score, 0)),
    [`${GGML}token_type`]: pieces.map((piece) => numberOf(piece, PIECE.type, TOKEN_TYPE.normal)),
    [`${GGML}add_space_prefix`]: numberOf(normalizer, NORMALIZER.dummyPrefix, 1) !== 0,
    [SPECIAL_TOKEN_KEYS.unk_token]: special(TRAINER.unk, 0),
    [SPECIAL_TOKEN_KEYS.bos_token]: special(TRAINER.bos, 1),
    [SPECIAL_TOKEN_KEYS.eos_token]: special(TRAINER.eos, 2),
    [SPECIAL_TOKEN_KEYS.pad_token]: special(TRAINER.pad, -1),
  };
}

/** What stands under every number of a message. */
function fieldsOf(message: Uint8Array): Fields {
  const reader = new BinaryReader(message);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value = fieldValue(reader, number, type);
    if (value === null) continue;
    const found = fields.get(number);
    if (found) found.push(value);
    else fields.set(number, [value]);
  }
  return fields;
}

function fieldValue(
  reader: BinaryReader,
  number: number,
  type: WireType,
): number | Uint8Array | null {
  switch (type) {
    case WireType.Varint:
      return Number(reader.int64());
    case WireType.Bit32:
      return reader.float();
    case WireType.LengthDelimited:
      return reader.bytes();
    default:
      reader.skip(type, number);
      return null;
  }
}

/** The last one counts, as protobuf has it. */
function numberOf(fields: Fields, number: number, otherwise: number): number {
  const value = fields.get(number)?.at(-1) ?? otherwise;
  if (typeof value !== 'number') throw new Error(`its field ${number} is no number`);
  return value;
}

function bytesOf(fields: Fields, number: number): Uint8Array {
  return asBytes(fields.get(number)?.at(-1) ?? new Uint8Array());
}

function asBytes(value: number | Uint8Array): Uint8Array {
  if (typeof value === 'number') throw new Error('a number stands where bytes must be');
  return value;
}
