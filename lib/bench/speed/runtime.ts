import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PLAIN_NODE } from '../../engine/plain-node';
import { StruPruneError } from '../../errors';
import { packageRoot } from '../../package-root';
import { endOf } from '../process';
import { withScratch } from '../scratch';

const PACKAGE = 'node-llama-cpp';
const MAJOR = 3;

export interface Runtime {
  folder: string;
  /** `node-llama-cpp 3.22.1`. */
  name: string;
}

/** Its packages of native code by our own platform names; it has others for GPUs, 700 MB together. */
const NATIVE: Readonly<Record<string, string>> = {
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'linux-arm64': 'linux-arm64',
  'linux-x64': 'linux-x64',
  'win32-arm64': 'win-arm64',
  'win32-x64': 'win-x64',
};

/** One package of native code, in a folder where no other packages lose their optional ones. */
const INSTALL = `npm install --prefix llama --omit=optional ${PACKAGE}@${MAJOR} @${PACKAGE}/${NATIVE[`${process.platform}-${process.arch}`] ?? 'PLATFORM'}@${MAJOR}`;

export const NOT_INSTALLED = `llama.cpp was left out: ${PACKAGE} is not installed; \`${INSTALL}\` puts it into the folder llama`;

/**
 * The optional peer: in `given`, else in node_modules of the working folder or of this package, or above them; null where it
 * is not there. @throws StruPruneError ERR_NOT_FOUND where it is not in the folder that was given
 */
export function findRuntime(given: string | undefined): Runtime | null {
  const places = given
    ? [resolve(given), join(resolve(given), 'node_modules', PACKAGE)]
    : [process.cwd(), packageRoot()].flatMap(above);
  const folder = places.find(
    (place) =>
      existsSync(join(place, 'dist', 'index.js')) && existsSync(join(place, 'package.json')),
  );
  const about = folder && JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  if (about?.name === PACKAGE) return { folder: folder!, name: `${PACKAGE} ${about.version}` };
  if (given === undefined) return null;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `${PACKAGE} is not in ${given}`,
    `\`${INSTALL}\` puts it into the folder llama`,
  );
}

function above(start: string): string[] {
  const places: string[] = [];
  for (let folder = start; ; folder = dirname(folder)) {
    places.push(join(folder, 'node_modules', PACKAGE));
    if (folder === dirname(folder)) return places;
  }
}

export interface SpeedJob {
  /** Paths of two. */
  models: string[];
  promptTokens: number;
  generatedTokens: number;
  repeats: number;
  threads: number;
}

interface Laps {
  prompt: number[];
  generation: number[];
}

/** Seconds of every repeat of two models; in a child process. @throws StruPruneError ERR_UNSUPPORTED */
export async function timeModels(
  { folder, name }: Runtime,
  job: SpeedJob,
  signal: AbortSignal | undefined,
): Promise<[Laps, Laps]> {
  return withScratch(tmpdir(), async (scratch) => {
    const path = join(scratch, 'job.json');
    await writeFile(path, JSON.stringify(job));
    const command = [process.execPath, join(__dirname, 'llama.mjs'), folder, path];
    const { code, stdout, stderr } = await endOf(command, { env: PLAIN_NODE, signal });
    if (code === 0) return JSON.parse(stdout);
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${name} could not run the models: ${lastLine(stderr)}`,
      'see whether llama.cpp loads each of them by itself',
    );
  });
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => /error/i.test(line));
  return lines.at(-1)?.trim() ?? text.trim().split('\n').at(-1) ?? 'it said nothing';
}
