/** Tokens that are found in a text before it is cut into words: the leftmost, of those at one place the longest. */
import { StruPruneError } from '../errors';
import { unsupported } from './schema';
import type { AddedToken } from './types';

/** A piece of a text: one token, or text that stays. `from`: where it begins. */
export interface Section {
  from: number;
  text: string;
  id: number | null;
}

interface Node {
  next: Map<number, Node>;
  token: AddedToken | null;
}

const WHITE = /\p{White_Space}/u;
const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;

export class AddedTokens {
  private readonly root: Node = { next: new Map(), token: null };

  /**
   * @param tokens with the text that stands for each
   * @throws StruPruneError ERR_TOKENIZER for two of the same text; ERR_UNSUPPORTED where Rust panics: a token whose text
   *   the normalizer takes away, and one that may stand in the white space that another claims
   */
  constructor(tokens: readonly (readonly [text: string, token: AddedToken])[]) {
    const claims = tokens.some(([, { rstrip }]) => rstrip);
    if (claims && tokens.some(([text]) => WHITE.test(text[0] ?? ''))) {
      throw unsupported('an added token of white space beside one with rstrip');
    }
    for (const [text, token] of tokens) {
      if (token.content === '') continue;
      if (text === '') throw unsupported('an added token of which the normalizer leaves nothing');
      let node = this.root;
      for (let at = 0; at < text.length; at++) {
        const code = text.charCodeAt(at);
        let next = node.next.get(code);
        if (next === undefined) {
          next = { next: new Map(), token: null };
          node.next.set(code, next);
        }
        node = next;
      }
      if (node.token) {
        throw new StruPruneError(
          'ERR_TOKENIZER',
          `two added tokens stand for the same text: ${JSON.stringify(text.slice(0, 40))}`,
          'get the tokenizer of the model again',
        );
      }
      node.token = token;
    }
  }

  split(text: string): Section[] {
    const sections: Section[] = [];
    let done = 0; // up to where sections reach
    let from = 0;
    while (from < text.length) {
      const match = this.matchAt(text, from);
      if (match === null) {
        from++;
        continue;
      }
      let start = from;
      let end = match.end;
      from = end;
      const { single_word, lstrip, rstrip, id } = match.token;
      if (single_word && isInWord(text, start, end)) continue;
      while (lstrip && start > done && WHITE.test(text[start - 1]!)) start--;
      while (rstrip && end < text.length && WHITE.test(text[end]!)) end++;
      if (done < start) sections.push({ from: done, text: text.slice(done, start), id: null });
      sections.push({ from: start, text: match.token.content, id });
      done = end;
    }
    if (done < text.length) sections.push({ from: done, text: text.slice(done), id: null });
    return sections;
  }

  private matchAt(text: string, from: number): { token: AddedToken; end: number } | null {
    let node: Node | undefined = this.root;
    let found: { token: AddedToken; end: number } | null = null;
    for (let at = from; at < text.length; at++) {
      node = node.next.get(text.charCodeAt(at));
      if (node === undefined) break;
      if (node.token) found = { token: node.token, end: at + 1 };
    }
    return found;
  }
}

/** Whether a character of a word touches the part of the text. */
function isInWord(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 2), start);
  return WORD_BEFORE.test(before) || WORD.test(text.slice(end, end + 2));
}
