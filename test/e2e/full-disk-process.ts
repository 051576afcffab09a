/**
 * full-disk-process.ts MODEL OPTIONS-JSON FOLDER: fills FOLDER's disk when the first block is solved; prints how the run ended, and
 * what the resumed one gives when there is room again.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { prune } from '../../lib/prune';
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

async function main() {
  const onProgress = ({ stage, done }: { stage: string; done: number }) => {
    if (stage === 'solve' && done === 1) fill();
  };
  const ended = await prune(model, { ...options, onProgress }).catch((error) => error);
  rmSync(ballast);
  const { output, resumedBlocks } = await prune(model, { ...options, resume: true });
  const { code, message } = ended;
  console.log(JSON.stringify({ code, message, resumedBlocks, hashes: hashesOf(output) }));
}

main();
