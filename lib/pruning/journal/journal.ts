/**
 * A run's journal, `OUT.struprune-journal` beside the output: what a killed or failed run had finished, so that the
 * next one goes on from there. Everything that a run writes before its output appears lies in this folder.
 *
 *     journal.json         what decides the run's bytes; a run that differs may not go on with it
 *     survey.safetensors   the dense survey (survey-file.ts)
 *     search.json          where rounds of the search for an allocation have come to
 *     depth.json           what the network loses without each whole sublayer, anew after each that went
 *     block-N.bin, .json   tensors of a finished block as the output will hold them; their hash, masks and statistics
 *     tune.safetensors     factors of tuning after its last step (tune-file.ts); final-norm.bin: the final norm times its own
 *     output, replaced     the output being put together; an older one that steps aside for it
 *     result.json          written last before the output appears, with what is in journal.json and the output's inode
 *     lock.json            the process that works on it (lock.ts): taken first and let go last
 *
 * Every file but `output` is written under another name, brought to the disk and renamed. JSON stands beside its hash (sealed.ts).
 */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { AtomicFile, orAbort } from '../../checkpoint/atomic';
import { asOutput } from '../../checkpoint/output-error';
import {
  exists,
  makeParents,
  namesIn,
  removeParents,
  requireNoMount,
  requireReplaceable,
  sync,
  WORK_NAMES,
} from '../../checkpoint/output-path';
import { pieces } from '../../checkpoint/pieces';
import { type ErrorCode, StruPruneError } from '../../errors';
import { isObject } from '../../json-object';
import type { PartRecord } from '../../models/front-end';
import type { LayerStats, PruneResult } from '../result';
import { blockPath, journalFolder } from './folder';
import { differenceOf, type Identity } from './identity';
import { LOCK, Lock } from './lock';
import { sealed, unsealed } from './sealed';

/** What is known of a finished block beside its tensors. */
export interface BlockRecord extends PartRecord {
  stats: LayerStats[];
}

const STORED_RECORD = z.object({
  /** Of the tensors. */
  sha256: z.string(),
  /** Of every site in scope. */
  keep: z.record(z.string(), z.array(z.int32())),
  stats: z.array(z.custom<LayerStats>(isStats)),
  roles: z.array(z.string()),
});
type StoredRecord = z.output<typeof STORED_RECORD>;

interface StoredResult {
  identity: Identity;
  result: PruneResult;
  /** Of the output, which it keeps when it is renamed. */
  inode: string;
}

export interface JournalOptions {
  /** Replace an output that is there (`--force`), and a journal too unless `resume`. */
  replace: boolean;
  /** Go on with a journal that is there. */
  resume: boolean;
}

/** Failures of what the run itself came to: the same command fails again, whatever it finds finished. */
const HOPELESS: readonly ErrorCode[] = ['ERR_NAN', 'ERR_NUMERIC', 'ERR_UNSUPPORTED', 'ERR_VERIFY'];

const HEAD = 'journal.json';
const SURVEY = 'survey.safetensors';
const RESULT = 'result.json';
const DEPTH = 'depth.json';
const SEARCH = 'search.json';
const TUNE = 'tune.safetensors';
const FINAL_NORM = 'final-norm.bin';
/** Also of files that are being written (`temporaryName`) or locked (lock.ts). */
const OWN_NAMES =
  /^(journal\.json|survey\.safetensors|depth\.json|search\.json|tune(-\d+-[01])?\.safetensors|final-norm\.bin|result\.json|lock\.json|block-\d+\.(bin|json)|output|replaced|\..+\.[\da-f]{12}\.partial)$/;

/** Where a round of a search for an allocation has come to; one number a layer. */
export interface SearchPoint {
  removed: number[];
  /** Of all layers pruned at once, on rows that nothing was summed of: of decoders KL to the dense model, nats per token. */
  loss: number;
  /** Prices there, on the scale of the dense network's; null where none were measured. */
  prices: number[] | null;
}

export class Journal {
  readonly folder: string;
  /** Blocks that are finished: all before this index. */
  finished = 0;
  /** What the user should know of the journal. */
  readonly warnings: string[] = [];
  /** Once this run's settings are the journal's: what it holds may be kept or removed. */
  #identity: Identity | null = null;

  private constructor(
    readonly target: string,
    private readonly lock: Lock,
    private readonly madeParents: string | undefined,
    private complete: boolean,
  ) {
    this.folder = journalFolder(target);
  }

  /**
   * Makes the journal's folder, which shows that the output can be written there, or takes one that is there.
   * @throws StruPruneError ERR_OUTPUT: the output exists or cannot be written; a journal is left and neither
   *   `resume` nor `replace` says what to do with it
   */
  static open(
    output: string,
    kind: 'file' | 'folder',
    { replace, resume }: JournalOptions,
  ): Promise<Journal> {
    const target = resolve(output);
    const folder = journalFolder(target);
    return asOutput(target, async () => {
      // The folder around it may be closed to this user: that is not what is wrong.
      await requireNoMount(target);
      const made = await makeParents(target);
      try {
        await requireOwn(folder);
        const lock = await Lock.take(folder, { force: replace });
        try {
          await sync(dirname(folder));
          await restoreReplaced(folder, target);
          // One that is not gone on with may be damaged in any way.
          const done = await isComplete(folder, target).catch((error: unknown) => {
            if (resume) throw error;
            return false;
          });
          if (!done) await requireNoneReplaced(folder, target);
          const complete = resume && done;
          if (!complete) await requireReplaceable(target, kind, { replace });
          if (!resume) await startAgain(folder, replace);
          return new Journal(target, lock, made, complete);
        } catch (error) {
          await lock.release();
          throw error;
        }
      } catch (error) {
        await removeParents(target, made);
        throw error;
      }
    });
  }

  /**
   * Compares the run with the journal's, or starts it; finds out which blocks are finished.
   * @throws StruPruneError ERR_ARGUMENT when they differ, ERR_OUTPUT when the journal cannot be read
   */
  async begin(identity: Identity, signal?: AbortSignal): Promise<void> {
    await this.tidy();
    const stored =
      (await this.readJson<{ identity: Identity }>(HEAD)) ??
      (this.complete ? await this.readJson<StoredResult>(RESULT) : null);
    if (stored && !isObject(stored.identity)) throw unreadable(join(this.folder, HEAD));
    // Nothing says whose work it is: it was being cleared away.
    if (!stored) await this.dropWork();
    const worth = this.complete || (await holdsWork(this.folder));
    const difference = stored && worth ? differenceOf(stored.identity, identity) : null;
    if (difference !== null) {
      throw new StruPruneError(
        'ERR_ARGUMENT',
        `the journal ${this.folder} belongs to another run: ${difference}`,
        'resume with the same settings, files and machine, or leave --resume out and give --force to start again',
      );
    }
    if (!stored || !worth) await this.writeJson(HEAD, { identity });
    this.#identity = identity;
    while (await this.isWhole(this.finished, signal)) this.finished += 1;
    await this.dropFrom(this.finished);
  }

  /** Bytes of the disk that this run has already of what it takes; without bounds where only the clearing up is left. */
  async held(): Promise<number> {
    if (this.complete) return Number.POSITIVE_INFINITY;
    const names = await readdir(this.folder, { recursive: true });
    const sizes = names.map(async (name) => {
      const found = await lstat(join(this.folder, name));
      return found.isFile() ? found.size : 0;
    });
    return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** The result of a run that was killed after its output had appeared; null otherwise. */
  async completed(): Promise<PruneResult | null> {
    const stored = this.complete ? await this.readJson<StoredResult>(RESULT) : null;
    if (!stored) return null;
    const { result } = stored;
    // Whichever blocks that run had solved itself: this one has solved none.
    return { ...result, resumedBlocks: result.layers.map(({ index }) => index) };
  }

  get surveyPath(): string {
    return join(this.folder, SURVEY);
  }

  get tunePath(): string {
    return join(this.folder, TUNE);
  }

  /** Of a block's changes after so many steps of tuning; those of two steps lie side by side. */
  changesPath(block: number, steps: number): string {
    return join(this.folder, `tune-${block}-${steps % 2}.safetensors`);
  }

  get finalNormPath(): string {
    return join(this.folder, FINAL_NORM);
  }

  hasSurvey(): Promise<boolean> {
    return exists(this.surveyPath);
  }

  dropSurvey(): Promise<void> {
    return rm(this.surveyPath, { force: true });
  }

  /** Rounds of prices of whole sublayers (lib/stages/depth.ts). */
  async depth(): Promise<(number | null)[][]> {
    return (await this.readJson<{ rounds: (number | null)[][] }>(DEPTH))?.rounds ?? [];
  }

  putDepth(rounds: readonly (readonly (number | null)[])[]): Promise<void> {
    return this.writeJson(DEPTH, { rounds });
  }

  /** Of an allocation (lib/stages/search.ts). */
  async search(): Promise<SearchPoint[]> {
    return (await this.readJson<{ points: SearchPoint[] }>(SEARCH))?.points ?? [];
  }

  putSearch(points: readonly SearchPoint[]): Promise<void> {
    return this.writeJson(SEARCH, { points });
  }

  blockPath(index: number): string {
    return blockPath(this.folder, index);
  }

  /** A finished block. */
  async block(index: number): Promise<BlockRecord> {
    const record = await this.readJson<StoredRecord>(`block-${index}.json`);
    if (!record) throw this.lost();
    const { keep, stats, roles } = record;
    const indices = Object.entries(keep).map(([kind, kept]) => [kind, Int32Array.from(kept)]);
    return { keep: Object.fromEntries(indices), stats, roles };
  }

  /** Bytes [start, end) of a finished block's tensors. @throws StruPruneError ERR_OUTPUT */
  async *blockBytes(index: number, start: number, end: number): AsyncGenerator<Uint8Array, void> {
    try {
      yield* pieces(this.blockPath(index), { start, end });
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? this.lost() : error;
    }
  }

  /** Something has removed what this run had finished. */
  private lost(): StruPruneError {
    return new StruPruneError(
      'ERR_OUTPUT',
      `the journal ${this.folder} was removed while the run was at work`,
      'start the run again, and leave its journal alone until it ends',
    );
  }

  private isThere(): Promise<boolean> {
    return exists(join(this.folder, HEAD));
  }

  /** Adds a finished block; `chunks` are its tensors in the order of the output. @throws ERR_OUTPUT */
  async putBlock(
    index: number,
    record: BlockRecord,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    if (!(await this.isThere())) throw this.lost();
    const hash = createHash('sha256');
    const file = await AtomicFile.create(this.blockPath(index), { replace: true });
    await orAbort(file, async () => {
      for await (const chunk of chunks) {
        hash.update(chunk);
        await file.write(chunk);
      }
      await file.commit();
    });
    const { keep, stats, roles } = record;
    const indices = Object.entries(keep).map(([kind, kept]) => [kind, [...kept]]);
    const sha256 = hash.digest('hex');
    // The record makes the block count, so that it comes second.
    await this.writeJson(`block-${index}.json`, {
      sha256,
      keep: Object.fromEntries(indices),
      stats,
      roles,
    });
    this.finished = index + 1;
  }

  /** Last step before the output, still at `path`, appears: from then on the run is done. */
  async putResult(result: PruneResult, path: string): Promise<void> {
    const inode = await inodeOf(path);
    const stored: StoredResult = { identity: this.#identity!, result, inode };
    await this.writeJson(RESULT, stored);
  }

  /** The output is in its place: the journal goes. */
  remove(): Promise<void> {
    return asOutput(this.folder, async () => {
      await clear(this.folder);
      await this.lock.release();
    });
  }

  /**
   * After a failure: keeps what is worth keeping and clears the rest away. Returns the error to throw, which
   * says how to go on; an abort's own reason stays as it is.
   */
  async leave(error: unknown): Promise<unknown> {
    const worth = this.complete || ((await this.isThere()) && (await holdsWork(this.folder)));
    const code = error instanceof StruPruneError ? error.code : 'ERR_ABORTED';
    const begun = this.#identity !== null;
    const useless = begun && HOPELESS.includes(code);
    if (worth && !useless) {
      if (begun) await this.tidy();
      await this.lock.release();
      if (!begun || !(error instanceof StruPruneError)) return error;
      return error.with(`the same run with --resume goes on from block ${this.finished}`);
    }
    await clear(this.folder);
    await this.lock.release();
    await removeParents(this.target, this.madeParents);
    return error;
  }

  private async isWhole(index: number, signal: AbortSignal | undefined): Promise<boolean> {
    const name = `block-${index}.json`;
    const stored = await this.readJson<unknown>(name).catch(() => 'none that can be read');
    if (stored === null) return false;
    const record = STORED_RECORD.safeParse(stored).data;
    const hash = createHash('sha256');
    try {
      for await (const piece of pieces(this.blockPath(index), { signal })) hash.update(piece);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (hash.digest('hex') === record?.sha256) return true;
    this.warnings.push(`block ${index} in the journal is damaged: it is solved again`);
    return false;
  }

  private async dropWork(): Promise<void> {
    await this.dropFrom(0);
    this.complete = false;
    for (const name of await readdir(this.folder)) {
      if ([SURVEY, DEPTH, SEARCH, RESULT].includes(name) || isTuning(name)) {
        await unlink(join(this.folder, name));
      }
    }
  }

  private async dropFrom(index: number): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (blockOf(name) >= index) await unlink(join(this.folder, name));
    }
  }

  /** Removes what a killed run had half written. */
  private tidy(): Promise<void> {
    return asOutput(this.folder, async () => {
      for (const name of await readdir(this.folder)) {
        if ([HEAD, SURVEY, DEPTH, SEARCH, LOCK].includes(name)) continue;
        if (isTuning(name) || blockOf(name) !== -1) continue;
        if (name === RESULT && this.complete) continue;
        // An output of before that found its place taken is the only copy of it.
        if (name === WORK_NAMES.replaced && !this.complete) continue;
        await rm(join(this.folder, name), { recursive: true, force: true });
      }
    });
  }

  private readJson<T>(name: string): Promise<T | null> {
    return readJson<T>(join(this.folder, name));
  }

  private async writeJson(name: string, value: object): Promise<void> {
    const file = await AtomicFile.create(join(this.folder, name), { replace: true });
    await orAbort(file, async () => {
      await file.write(Buffer.from(sealed(value)));
      await file.commit();
    });
  }
}

/** null where there is no such file. @throws StruPruneError ERR_OUTPUT when it cannot be read */
async function readJson<T>(path: string): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw unreadable(path, cause);
  }
  const value = unsealed<T>(text);
  if (value === null) throw unreadable(path);
  return value;
}

function unreadable(path: string, cause?: unknown): StruPruneError {
  return new StruPruneError(
    'ERR_OUTPUT',
    `the journal's ${path} cannot be read`,
    'give --force without --resume to start again',
    { cause },
  );
}

/** Refuses a folder of the journal's name that somebody else has made: a journal is cleared away without asking. */
async function requireOwn(folder: string): Promise<void> {
  if (!(await exists(folder))) return;
  const isFolder = (await lstat(folder)).isDirectory();
  const foreign = isFolder ? (await namesIn(folder)).find((name) => !OWN_NAMES.test(name)) : '';
  if (foreign === undefined) return;
  throw new StruPruneError(
    'ERR_OUTPUT',
    isFolder
      ? `${folder}, where this output's journal goes, has ${foreign} in it, which is no part of one`
      : `${folder}, where this output's journal goes, is no folder`,
    'move it away, or give another path',
  );
}

/** N of `block-N.bin` and `block-N.json`; -1 for other names. */
function blockOf(name: string): number {
  const match = /^block-(\d+)\.(bin|json)$/.exec(name);
  return match ? Number(match[1]) : -1;
}

function isTuning(name: string): boolean {
  return /^tune(-\d+-[01])?\.safetensors$/.test(name);
}

/** Whether a journal holds anything that took time to make. */
async function holdsWork(folder: string): Promise<boolean> {
  const names = await namesIn(folder);
  return names.some((name) => name === SURVEY || /^block-\d+\.json$/.test(name));
}

/** A run that was killed while the new output and the old one changed places: the old one goes back first. */
async function restoreReplaced(folder: string, target: string): Promise<void> {
  const replaced = join(folder, WORK_NAMES.replaced);
  if ((await exists(replaced)) && !(await exists(target))) await rename(replaced, target);
}

/** An older output that stepped aside and could not come back, since something else had taken its place. */
async function requireNoneReplaced(folder: string, target: string): Promise<void> {
  const replaced = join(folder, WORK_NAMES.replaced);
  if (!(await exists(replaced))) return;
  throw new StruPruneError(
    'ERR_OUTPUT',
    `${replaced} is what was at ${target} before something else took its place`,
    'move it to where it belongs, or remove it',
  );
}

/**
 * Whether the output of this journal has appeared and only the clearing up was left. An older output may be in its
 * place yet, or again: that is another file.
 */
async function isComplete(folder: string, target: string): Promise<boolean> {
  const stored = await readJson<StoredResult>(join(folder, RESULT));
  return stored !== null && (await exists(target)) && (await inodeOf(target)) === stored.inode;
}

/** Its number on its file system. */
async function inodeOf(path: string): Promise<string> {
  return String((await lstat(path, { bigint: true })).ino);
}

/** Clears away a journal that is not to be gone on with. */
async function startAgain(folder: string, replace: boolean): Promise<void> {
  if (!replace && (await holdsWork(folder))) {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `an earlier run has left its journal ${basename(folder)}`,
      'go on with it by --resume, or start again by --force',
    );
  }
  await clear(folder);
}

/**
 * Everything in a journal but its lock. First goes what says whose work it is: what a kill leaves of the rest is then
 * nobody's. Last what says that the output is in its place.
 */
async function clear(folder: string): Promise<void> {
  const apart = [HEAD, LOCK, RESULT];
  const names = (await namesIn(folder)).filter((name) => !apart.includes(name));
  for (const name of [HEAD, ...names, RESULT]) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** An object whose list is one: the rest is shown as it is. */
function isStats(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { expertTokens } = value;
  const isList = Array.isArray(expertTokens) && expertTokens.every(Number.isSafeInteger);
  return expertTokens === null || isList;
}
