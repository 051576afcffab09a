/** Documents of several benchmarks as the parts of one report. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchDocument, benchSchema } from '../documents/bench';
import { StruPruneError } from '../errors';

const SECTIONS = [
  'quality',
  'masks',
  'kernels',
  'speed',
  'peers',
  'memory',
  'graphs',
  'latency',
  'scale',
] as const;
export type SectionName = (typeof SECTIONS)[number];

/** The documents of folders as the benchmarks left them, and of single .json files. @throws StruPruneError */
export async function readDocuments(paths: readonly string[]): Promise<BenchDocument[]> {
  const files: string[] = [];
  for (const path of paths) files.push(...(await filesOf(path)));
  return Promise.all(files.map(readDocument));
}

async function filesOf(path: string): Promise<string[]> {
  if (!existsSync(path)) {
    throw new StruPruneError('ERR_NOT_FOUND', `${path} does not exist`, 'check the path');
  }
  if (!(await stat(path)).isDirectory()) return [path];
  const found = SECTIONS.map((name) => join(path, `${name}.json`)).filter(existsSync);
  if (found.length > 0) return found;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `${path} has no document of a benchmark`,
    `run one with -o ${path} first`,
  );
}

async function readDocument(path: string): Promise<BenchDocument> {
  try {
    return benchSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${path} is no document of a benchmark of this version`,
      'make it again, or leave it out',
      { cause },
    );
  }
}

/** A report has one of each section. @throws StruPruneError ERR_ARGUMENT */
export function requireOneOfEach(documents: readonly BenchDocument[]): void {
  for (const section of SECTIONS) {
    const having = documents.filter((document) => document[section]);
    if (having.length < 2) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${having.length} of the documents have a section '${section}'`,
      'a report shows one: leave the others out',
    );
  }
}
