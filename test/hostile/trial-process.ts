/** A process of its own for trials: does what it is sent, one after the other, and says how each ended. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as Library from '../../lib';
import type * as Tokenizers from '../../lib/tokenizer';
import { GRAPH_PARTS, type Graphs } from './graphs';
import type { Specimens } from './specimens';
import { damaged, type Trial } from './trials';

/** How a trial ended. */
export interface Outcome {
  what: string;
  /** Of the error; null where there was a result. */
  code: string | null;
  /** Of an error without a code of its own. */
  stack?: string;
  /** Bytes that the trial took beyond what the process had, and those of the file. */
  peak: number;
  bytes: number;
}

const DIST = join(__dirname, '../../dist/lib');
const library: typeof Library = require(join(DIST, 'index.js'));
const tokenizers: typeof Tokenizers = require(join(DIST, 'tokenizer/index.js'));

const graphs = Object.assign(
  {},
  ...GRAPH_PARTS.map((part) => require(join(DIST, 'models/graphs', `${part}.js`))),
) as Graphs;

const [root, specimens] = JSON.parse(process.argv[2]!) as [string, Specimens];

process.on('message', async (trial: Trial) => {
  process.send!(await outcomeOf(trial));
});
process.send!('ready');

async function outcomeOf(trial: Trial): Promise<Outcome> {
  const own = mkdtempSync(join(root, 'trial-'));
  const { what, bytes, use } = damaged(trial, specimens, own);
  resetPeak();
  const before = memory('VmRSS');
  const ended = { what, bytes };
  try {
    await use(library, tokenizers, graphs);
    return { ...ended, code: null, peak: memory('VmHWM') - before };
  } catch (error) {
    const { code, stack } = error as { code?: string; stack?: string };
    const own = error instanceof library.StruPruneError && code !== 'ERR_INTERNAL';
    const peak = memory('VmHWM') - before;
    return {
      ...ended,
      code: String(code),
      peak,
      ...(own ? {} : { stack: String(stack ?? error) }),
    };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** Of /proc, in bytes; 0 elsewhere. */
function memory(name: 'VmRSS' | 'VmHWM'): number {
  if (process.platform !== 'linux') return 0;
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
}

function resetPeak(): void {
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5');
}
