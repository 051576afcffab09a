/**
 * BERT's tokenizers, as Rust's `tokenizers` runs them: BertNormalizer, BertPreTokenizer, WordPiece. Which characters are
 * letters, marks or punctuation is as Unicode has it here, which may be newer.
 */
import { z } from 'zod';
import { StruPruneError } from '../errors';
import { vocabulary } from './schema';
import type { WordSteps } from './tokenizer';
import type { TokenizerJson } from './types';

const flag = z.boolean();
const schema = z.looseObject({
  normalizer: z
    .object({
      type: z.literal('BertNormalizer'),
      clean_text: flag,
      handle_chinese_chars: flag,
      strip_accents: flag.nullish(),
      lowercase: flag,
    })
    .nullish(),
  pre_tokenizer: z.object({ type: z.literal('BertPreTokenizer') }),
  model: z.object({
    type: z.literal('WordPiece'),
    vocab: vocabulary,
    unk_token: z.string(),
    continuing_subword_prefix: z.string(),
    max_input_chars_per_word: z.number().int().positive(),
  }),
});
type Normalizer = z.infer<typeof schema>['normalizer'];
type Model = z.infer<typeof schema>['model'];

export function isWordPiece(json: TokenizerJson): boolean {
  return json.model?.type === 'WordPiece';
}

/** @throws StruPruneError ERR_UNSUPPORTED for another normalizer or pre-tokenizer than BERT's, ERR_TOKENIZER */
export function wordPieceSteps(json: TokenizerJson, folder: string): WordSteps {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const at = parsed.error.issues[0]!.path.join('.');
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the WordPiece tokenizer in ${folder} is not as BERT's: ${at.slice(0, 100)}`,
      'make the samples with its own library, and give them as safetensors or .npz',
    );
  }
  const { normalizer, model } = parsed.data;
  if (!Object.hasOwn(model.vocab, model.unk_token)) {
    throw new StruPruneError(
      'ERR_TOKENIZER',
      `the unknown token of ${folder}/tokenizer.json is not in its vocabulary`,
      'get the file again',
    );
  }
  return {
    normalize: normalizing(normalizer),
    cut: (text) => text.split(SPACES).flatMap((word) => word.match(PUNCTUATED) ?? []),
    encode: encoding(model),
  };
}

const SPACES = /\p{White_Space}+/u;
const PUNCTUATION = String.raw`\p{P}$+<=>^\x60|~`;
const PUNCTUATED = new RegExp(`[${PUNCTUATION}]|[^${PUNCTUATION}]+`, 'gu');
/** Not `\p{Ideographic}`: the ranges that BERT has. */
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const CONTROL = /[\ufffd\p{Cc}\p{Cf}\p{Cn}\p{Co}]/gu;

function normalizing(steps: Normalizer): (text: string) => string {
  if (!steps) return (text) => text;
  const { clean_text, handle_chinese_chars, strip_accents, lowercase } = steps;
  return (text) => {
    let made = text;
    if (clean_text) {
      made = made
        .replace(CONTROL, (found) => ('\t\n\r'.includes(found) ? found : ''))
        .replace(/\p{White_Space}/gu, ' ');
    }
    if (handle_chinese_chars) made = made.replace(CHINESE, ' $& ');
    if (strip_accents ?? lowercase) made = made.normalize('NFD').replace(/\p{Mn}/gu, '');
    // Character by character: a sigma at a word's end is no other letter.
    return lowercase ? Array.from(made, (character) => character.toLowerCase()).join('') : made;
  };
}

/** From the left the longest token of the vocabulary, again and again. */
function encoding({ vocab, unk_token, continuing_subword_prefix, ...model }: Model) {
  const ids = new Map(Object.entries(vocab));
  const unknown = [ids.get(unk_token)!];
  const longest = [...ids.keys()].reduce((most, token) => Math.max(most, token.length), 0);
  return (word: string): number[] => {
    const characters = Array.from(word);
    if (characters.length > model.max_input_chars_per_word) return unknown;
    const found: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = Math.min(characters.length, start + longest);
      const prefix = start > 0 ? continuing_subword_prefix : '';
      const tokenTo = () => ids.get(prefix + characters.slice(start, end).join(''));
      while (end > start && tokenTo() === undefined) end--;
      if (end === start) return unknown;
      found.push(tokenTo()!);
      start = end;
    }
    return found;
  };
}
