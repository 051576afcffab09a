/** The licence that a checkpoint states, for what is made of it. */
import type { ModelSource } from '../model/architecture';
import { yaml } from '../printable';
import type { GgufEntry } from './container';
import { readFolderFile } from './folder-file';

/** Key in a model card's front matter, and in GGUF metadata. */
const KEYS = [
  ['license', 'general.license'],
  ['license_name', 'general.license.name'],
  ['license_link', 'general.license.link'],
] as const;

/** A card's front matter is in its first lines. */
const MOST_BYTES = 2 ** 16;
/** What is longer is no name of a licence. */
const MOST_CHARACTERS = 500;

/** Without `license` where the source states none. */
export type Licence = Partial<Record<(typeof KEYS)[number][0], string>>;

/** What a licence is looked for in. */
type Stating = Pick<ModelSource, 'format' | 'path' | 'config'>;

/** Out of a folder's README.md or config.json, or out of GGUF metadata. */
export function licenceOf({ format, path, config }: Stating): Licence {
  const card = format === 'hf' ? frontMatter(path) : '';
  const parts = KEYS.flatMap(([key, metadata]) => {
    const entry = config[format === 'hf' ? key : metadata];
    const value = format === 'hf' ? entry : (entry as GgufEntry | undefined)?.value;
    const stated = scalarOf(card, key) ?? value;
    return typeof stated === 'string' && stated.length <= MOST_CHARACTERS ? [[key, stated]] : [];
  });
  return Object.fromEntries(parts);
}

function frontMatter(folder: string): string {
  try {
    const card = readFolderFile(folder, 'README.md', { code: 'ERR_CHECKPOINT', mend: '' });
    const text = card?.toString('utf8', 0, MOST_BYTES) ?? '';
    return /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1] ?? '';
  } catch {
    return '';
  }
}

/** A quoted or plain scalar of one line of YAML; lists and blocks are none. */
function scalarOf(yaml: string, key: string): string | undefined {
  const value = /(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'[\]{}|>&*#!-].{0,200}?))/.source;
  const match = new RegExp(`^${key}:[ \\t]+${value}[ \\t]*(?:\\s#.*)?\\r?$`, 'm').exec(yaml);
  return match?.slice(1).find((text) => text !== undefined);
}

export function licenceMetadata(licence: Licence): Record<string, GgufEntry> {
  const known = KEYS.filter(([key]) => licence[key] !== undefined);
  return Object.fromEntries(
    known.map(([key, metadata]) => [metadata, { type: 'string', value: licence[key]! }]),
  );
}

/** Lines of a model card's front matter. */
export function licenceLines(licence: Licence): string[] {
  return KEYS.flatMap(([key]) =>
    licence[key] === undefined ? [] : `${key}: ${yaml(licence[key])}`,
  );
}

/** For people. */
export function licenceWords({ license, license_name: name, license_link: link }: Licence): string {
  if (license === undefined) return 'that of the source model, which does not state it';
  return [license, name, link].filter((part) => part !== undefined).join(', ');
}
