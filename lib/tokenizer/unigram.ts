/** XLM-R's tokenizers (multilingual encoders), as Rust's `tokenizers` runs them: SentencePiece's table, words, Unigram. */
import { z } from 'zod';
import { StruPruneError } from '../errors';
import { type Cut, inTurn, metaspaceCut } from './pre-tokenize';
import { precompiled } from './precompiled';
import { replacer, requireBounded } from './replace';
import { flattened, metaspace, part, replace, text } from './schema';
import type { WordSteps } from './tokenizer';
import type { TokenizerJson } from './types';

const normalizer = z.discriminatedUnion('type', [
  part('Precompiled').extend({ precompiled_charsmap: z.base64() }),
  part('Strip').extend({ strip_left: z.boolean(), strip_right: z.boolean() }),
  replace,
]);
const preTokenizer = z.discriminatedUnion('type', [part('WhitespaceSplit'), metaspace]);
const schema = z.object({
  normalizer: z.array(normalizer),
  pre_tokenizer: z.array(preTokenizer),
  model: z
    .object({
      unk_id: z.number().int().nonnegative(),
      byte_fallback: z.boolean().nullish(),
      vocab: z.array(z.tuple([text, z.number()])),
    })
    .refine(({ unk_id, vocab }) => unk_id < vocab.length, { path: ['unk_id'] }),
});
type Normalizer = z.infer<typeof normalizer>;
type Model = z.infer<typeof schema>['model'];

export function isUnigram(json: TokenizerJson): boolean {
  return json.model?.type === 'Unigram';
}

/** @throws StruPruneError ERR_UNSUPPORTED for another normalizer or pre-tokenizer than XLM-R's, ERR_TOKENIZER */
export function unigramSteps(json: TokenizerJson, folder: string): WordSteps {
  const parsed = schema.safeParse({
    normalizer: json.normalizer ? flattened(json.normalizer, 'normalizers') : [],
    pre_tokenizer: json.pre_tokenizer ? flattened(json.pre_tokenizer, 'pretokenizers') : [],
    model: json.model,
  });
  if (!parsed.success) {
    const at = parsed.error.issues[0]!.path.join('.');
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the Unigram tokenizer in ${folder} is not as XLM-R's: ${at.slice(0, 100)}`,
      'make the samples with its own library, and give them as safetensors or .npz',
    );
  }
  const { data } = parsed;
  requireBounded(data.normalizer);
  const normalizers = data.normalizer.map(normalizing);
  const cuts = data.pre_tokenizer.map((step): Cut => {
    return step.type === 'Metaspace' ? metaspaceCut(step) : (word) => words(word);
  });
  return {
    normalize: (given) => normalizers.reduce((made, step) => step(made), given),
    cut: inTurn(cuts),
    encode: encoding(data.model),
  };
}

const words = (given: string) => given.split(/\p{White_Space}+/u).filter((word) => word !== '');

function normalizing(step: Normalizer): (given: string) => string {
  switch (step.type) {
    case 'Precompiled':
      return precompiled(step.precompiled_charsmap);
    case 'Replace':
      return replacer(step);
    case 'Strip': {
      const left = step.strip_left ? /^\p{White_Space}+/u : null;
      const right = step.strip_right ? /\p{White_Space}+$/u : null;
      return (given) =>
        [left, right].reduce((made, at) => (at ? made.replace(at, '') : made), given);
    }
  }
}

/** Below the least score of the vocabulary. */
const UNKNOWN_PENALTY = 10;

/** The way through a word whose scores have the largest sum; of equal ones the one with the earlier cuts is found first and stays. */
function encoding({ vocab, unk_id, byte_fallback }: Model): (word: string) => number[] {
  const ids = new Map(vocab.map(([token], id) => [token, id]));
  const bytes = byte_fallback ? bytesOf(ids) : null;
  let least = Number.POSITIVE_INFINITY;
  /** UTF-16 units of the longest token that begins with a unit. */
  const longest = new Map<number, number>();
  for (const [token, score] of vocab) {
    least = Math.min(least, score);
    const first = token.charCodeAt(0);
    longest.set(first, Math.max(longest.get(first) ?? 0, token.length));
  }
  const unknown = least - UNKNOWN_PENALTY;

  /** Its pieces; those in a row that are no tokens are one. */
  const bestWay = (word: string) => {
    const { length } = word;
    const from = new Int32Array(length + 1).fill(-1);
    const scores = new Float64Array(length + 1);
    const none = new Uint8Array(length + 1);
    const reach = (at: number, to: number, score: number, unmatched: 0 | 1) => {
      if (from[to]! >= 0 && score <= scores[to]!) return;
      from[to] = at;
      scores[to] = score;
      none[to] = unmatched;
    };
    for (let at = 0, next = 0; at < length; at = next) {
      next = at + (word.codePointAt(at)! > 0xffff ? 2 : 1);
      const end = Math.min(length, at + (longest.get(word.charCodeAt(at)) ?? 0));
      let single = false;
      for (let to = next; to <= end; to++) {
        const id = ids.get(word.slice(at, to));
        if (id === undefined) continue;
        reach(at, to, scores[at]! + vocab[id]![1], id === unk_id ? 1 : 0);
        single ||= to === next;
      }
      if (!single) reach(at, next, scores[at]! + unknown, 1);
    }
    const pieces: string[] = [];
    for (let to = length, joins = false; to > 0; to = from[to]!) {
      const piece = word.slice(from[to]!, to);
      if (joins && none[to]) pieces[pieces.length - 1] = piece + pieces.at(-1)!;
      else pieces.push(piece);
      joins = none[to] === 1;
    }
    return pieces.reverse();
  };
  return (word) => bestWay(word).flatMap((piece) => ids.get(piece) ?? bytes?.(piece) ?? [unk_id]);
}

/** The tokens of a text's bytes; null where one is missing. */
function bytesOf(ids: ReadonlyMap<string, number>): (piece: string) => number[] | null {
  const all = Array.from({ length: 256 }, (_, byte) =>
    ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return (piece) => {
    const found = Array.from(Buffer.from(piece), (byte) => all[byte]);
    return found.every((id) => id !== undefined) ? found : null;
  };
}
