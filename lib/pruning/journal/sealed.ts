/** A value as a line of JSON beside its hash: a file of the journal that has changed is noticed before it is used. */
import { createHash } from 'node:crypto';
import { isObject } from '../../json-object';

export function sealed(value: object): string {
  return `${JSON.stringify({ sha256: hashOf(value), value })}\n`;
}

/** null where the text is not what `sealed` made. */
export function unsealed<T>(text: string): T | null {
  try {
    const { sha256, value } = JSON.parse(text);
    return isObject(value) && sha256 === hashOf(value) ? (value as T) : null;
  } catch {
    return null;
  }
}

function hashOf(value: object): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
