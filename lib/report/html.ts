/** HTML that is safe by construction: what goes into the template is escaped, unless it is Html itself. */
import { printable } from '../printable';

export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

export type Part = Html | string | number | null | undefined | readonly Part[];

/** A template whose values are escaped; Html stays as it is, lists are joined, null is nothing. */
export function html(literals: TemplateStringsArray, ...values: Part[]): Html {
  const text = literals.reduce((sum, literal, i) => {
    return sum + literal + (i < values.length ? textOf(values[i]) : '');
  }, '');
  return new Html(text);
}

function textOf(part: Part): string {
  if (part === null || part === undefined) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return escaped(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text for elements and quoted attributes. What is not printable becomes the replacement character, as do lone
 * halves of surrogate pairs.
 */
export function escaped(text: string): string {
  return printable(text)
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!)
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}
