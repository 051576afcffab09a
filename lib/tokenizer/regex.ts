/**
 * Regular expressions of tokenizer.json as JavaScript's. Rust reads them by Oniguruma, so only what means the same in both is taken:
 * a strict subset, in which no group repeats and nothing matches the empty text.
 */
import { StruPruneError } from '../errors';
import { CONTRACTIONS } from './patterns';

export type Pattern = { String: string } | { Regex: string };

/** Unicode folds U+017F (long s) with s; JavaScript's `[sS]` does not. */
const FOLDED_CONTRACTIONS = "(?:'[sS\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

const LONGEST = 4096;
const DEEPEST = 16;
const MOST_REPEATS = 255;

const SETS: Record<string, string> = {
  s: String.raw`\p{White_Space}`,
  S: String.raw`\P{White_Space}`,
  d: String.raw`\p{Nd}`,
  D: String.raw`\P{Nd}`,
};
const CATEGORY = /^(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?)$/;
const SCRIPT =
  /^(?:Arabic|Cyrillic|Devanagari|Greek|Han|Hangul|Hebrew|Hiragana|Katakana|Latin|Thai)$/;

/** Every match of the pattern. @throws StruPruneError ERR_UNSUPPORTED for an expression outside the subset */
export function regexFor(pattern: Pattern): RegExp {
  const source =
    'Regex' in pattern ? new Translation(pattern.Regex).source : literal(pattern.String);
  return new RegExp(source, 'gu');
}

/** What the text means literally, in a class too. */
function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, (sign) => `\\u{${sign.charCodeAt(0).toString(16)}}`);
}

const CONTROLS: Record<string, number> = { r: 13, n: 10, t: 9 };

/** The code point of an escape that stands for one character, or null. */
function codeOf(escaped: string): number | null {
  const code = /^\\u\{(\w+)\}$/.exec(escaped);
  if (code) return Number.parseInt(code[1]!, 16);
  return escaped.length > 2 ? null : (CONTROLS[escaped[1]!] ?? escaped.codePointAt(0)!);
}

/** JavaScript's source, and whether it may match the empty text. */
interface Translated {
  source: string;
  empty: boolean;
}

class Translation {
  readonly source: string;
  private at = 0;

  constructor(private readonly regex: string) {
    if (regex.length > LONGEST) throw this.unsupported(`more than ${LONGEST} characters`);
    const { source, empty } = this.alternatives(0);
    if (this.at < regex.length) throw this.unsupported('a parenthesis that closes nothing');
    if (empty) throw this.unsupported('a match of the empty text');
    this.source = source;
  }

  private alternatives(depth: number): Translated {
    if (depth > DEEPEST) throw this.unsupported('groups that deep');
    const all = [this.sequence(depth)];
    while (this.take('|')) all.push(this.sequence(depth));
    return {
      source: all.map(({ source }) => source).join('|'),
      empty: all.some(({ empty }) => empty),
    };
  }

  private sequence(depth: number): Translated {
    const all: Translated[] = [];
    while (this.at < this.regex.length && !'|)'.includes(this.regex[this.at]!)) {
      all.push(this.term(depth));
    }
    return {
      source: all.map(({ source }) => source).join(''),
      empty: all.every(({ empty }) => empty),
    };
  }

  private term(depth: number): Translated {
    for (const open of ['(?=', '(?!']) {
      if (this.take(open)) return { source: `${open}${this.group(depth).source})`, empty: true };
    }
    if (this.take(CONTRACTIONS)) return this.optional(FOLDED_CONTRACTIONS, false);
    if (this.take('(?:') || (this.next() !== '(?' && this.take('('))) {
      const { source, empty } = this.group(depth);
      return this.optional(`(?:${source})`, empty);
    }
    return this.repeated(this.character());
  }

  private group(depth: number): Translated {
    const inside = this.alternatives(depth + 1);
    if (!this.take(')')) throw this.unsupported('a group without its end');
    return inside;
  }

  /** A group may be there or not; repeated ones take exponential time. */
  private optional(source: string, empty: boolean): Translated {
    return this.take('?') ? { source: `${source}?`, empty: true } : { source, empty };
  }

  private repeated(source: string): Translated {
    const match = this.match(/[*+?]\??|\{(\d+)(?:(,)(\d*))?\}/y);
    if (match === null) return { source, empty: false };
    const [quantifier, least, , most] = match;
    if (least === undefined) return { source: source + quantifier, empty: quantifier[0] !== '+' };
    const largest = Number(most || least);
    if (largest > MOST_REPEATS || largest < Number(least)) throw this.unsupported(quantifier);
    return { source: source + quantifier, empty: Number(least) === 0 };
  }

  /** A sign that stands for one character. */
  private character(): string {
    if (this.take('[')) return this.class();
    if (this.take('\\')) return this.escape();
    if (this.take('.')) return String.raw`[^\n]`;
    const sign = this.sign();
    if ('^$*+?{}()]'.includes(sign)) throw this.unsupported(sign);
    return literal(sign);
  }

  private class(): string {
    let source = this.take('^') ? '[^' : '[';
    const first = this.at;
    while (!this.take(']')) {
      const start = this.member(first);
      source += start.source;
      if (this.next(1) !== '-' || this.next() === '-]') continue;
      this.take('-');
      const end = this.member(first);
      if (start.code === null || end.code === null || start.code > end.code) {
        throw this.unsupported('such a range');
      }
      source += `-${end.source}`;
    }
    if (this.at === first + 1) throw this.unsupported('an empty class');
    return `${source}]`;
  }

  /** One member of a class, with its code point if it is a single character. */
  private member(first: number): { source: string; code: number | null } {
    if (this.next() === '&&') throw this.unsupported('&&');
    if (this.take('\\')) {
      const source = this.escape();
      return { source, code: codeOf(source) };
    }
    const sign = this.sign();
    if (sign === '[') throw this.unsupported('a class within a class');
    if (sign === '-' && this.at !== first + 1 && this.next(1) !== ']') throw this.unsupported('-');
    return { source: literal(sign), code: sign.codePointAt(0)! };
  }

  private escape(): string {
    const property = this.match(/([pP])\{(\w+)\}/y);
    if (property) {
      const [, sign, name] = property;
      if (CATEGORY.test(name!)) return `\\${sign}{${name}}`;
      if (SCRIPT.test(name!)) return `\\${sign}{Script=${name}}`;
      throw this.unsupported(`\\${property[0]}`);
    }
    const code = this.match(/x\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})/y);
    if (code) {
      const value = Number.parseInt(code[1] ?? code[2]!, 16);
      const surrogate = value >= 0xd800 && value <= 0xdfff;
      if (surrogate || value > 0x10ffff) throw this.unsupported(`\\${code[0]}`);
      return `\\u{${value.toString(16)}}`;
    }
    const sign = this.sign();
    if (SETS[sign]) return SETS[sign];
    if ('rnt'.includes(sign)) return `\\${sign}`;
    if (/[\x20-\x7e]/.test(sign) && !/\w/.test(sign)) return literal(sign);
    throw this.unsupported(`\\${sign}`);
  }

  private next(length = 2): string {
    return this.regex.slice(this.at, this.at + length);
  }

  private take(text: string): boolean {
    if (!this.regex.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.at;
    const match = sticky.exec(this.regex);
    this.at += match?.[0].length ?? 0;
    return match;
  }

  private sign(): string {
    const code = this.regex.codePointAt(this.at);
    if (code === undefined) throw this.unsupported('an end in the middle');
    const sign = String.fromCodePoint(code);
    this.at += sign.length;
    return sign;
  }

  private unsupported(what: string): StruPruneError {
    return new StruPruneError(
      'ERR_UNSUPPORTED',
      `the regular expression ${JSON.stringify(this.regex.slice(0, 100))} of tokenizer.json has ${what} at ${this.at}, which is not supported`,
      'use a model whose tokenizer cuts text by a common expression',
    );
  }
}
