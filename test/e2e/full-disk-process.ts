/**
 * full-disk-process.ts MODEL OPTIONS-JSON FOLDER: fills FOLDER's disk when the first block is solved; prints how the run ended, and
 * what the resumed one gives when there is room again: less than for a whole run where the output is on that disk.
 */
import {
  closeSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { journalFolder } from '../../lib/pruning/journal/folder';
import { hashesOf } from './files';

const [model, json, folder] = process.argv.slice(2) as [string, string, string];
const options = JSON.parse(json);
const ballast = join(folder, 'ballast');

function fill(): void {
  const file = openSync(ballast, 'w');
  try {
    for (;;) writeSync(file, new Uint8Array(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}

function bytesIn(folder: string): number {
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** Leaves what is needed beside the journal, and half of the journal's size. */
async function makeRoom(): Promise<void> {
  rmSync(ballast);
  if (dirname(options.output) !== folder) return;
  const { bavail, bsize } = statfsSync(folder);
  const { disk } = await plan(model, options);
  const held = bytesIn(journalFolder(options.output));
  if (held === 0) throw new Error('the journal is empty');
  writeFileSync(ballast, new Uint8Array(bavail * bsize - (disk - Math.floor(held / 2))));
}

async function main() {
  const onProgress = ({ stage, done }: { stage: string; done: number }) => {
    if (stage === 'solve' && done === 1) fill();
  };
  const ended = await prune(model, { ...options, onProgress }).catch((error) => error);
  await makeRoom();
  const { output, resumedBlocks } = await prune(model, { ...options, resume: true });
  const { code, message } = ended;
  console.log(JSON.stringify({ code, message, resumedBlocks, hashes: hashesOf(output) }));
}

main();
