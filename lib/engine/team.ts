/** Processes that share a run (docs/scale-out.md). Rank 0 decides; the others do what it asks, until the call ends on all. */
import { fstatSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { asStruPruneError, StruPruneError } from '../errors';
import { counted } from '../numbers';
import type { TeamHandle } from './handles';
import { native } from './native';
import type { Objection, Traffic } from './native-team';

/** Between two looks at whether another rank has ended. */
const WATCH_MS = 20;

/** Disposed of by the engine that has it. */
export interface Team extends Disposable {
  readonly rank: number;
  readonly size: number;
  /** For passes over tokens that it shares; null: there is nobody else. */
  readonly handle: TeamHandle | null;
  /** Of rank 0: tells the others what to do next. Of the others nothing: they were told. */
  ask(order: unknown): Promise<void>;
  /** Of the others: what rank 0 asks next. */
  next<Order>(): Promise<Order>;
  /** What every rank gives, on all of them, in the order of the ranks: plain data. */
  gather<T>(value: T): Promise<T[]>;
  /** On rank 0 first: what it fetches is there for the others. */
  first<T>(work: () => Promise<T>): Promise<T>;
  /** Of this rank since it joined. */
  traffic(): Traffic;
  /**
   * A whole call on every rank: what ends it on one of them ends it on all. `stop`: ends what native code is at, as soon as another
   * rank has ended.
   */
  call<T>(work: () => Promise<T>, signal: AbortSignal | undefined, stop: () => void): Promise<T>;
  /** What has ended the call: of what was stopped for another rank's sake, that rank's error. */
  causeOf(error: unknown): Promise<unknown>;
}

/** A process by itself. */
export const ALONE: Team = {
  rank: 0,
  size: 1,
  handle: null,
  ask: async () => {},
  next: () => Promise.reject(new StruPruneError('ERR_INTERNAL', 'rank 0 is asked for nothing')),
  gather: async (value) => [value],
  first: (work) => work(),
  traffic: () => ({ sent: 0, sums: 0, seconds: 0 }),
  call: (work) => work(),
  causeOf: async (error) => error,
  [Symbol.dispose]: () => {},
};

/** A process has one team at most. */
let joining: Promise<MpiTeam> | null = null;
let joined: MpiTeam | null = null;

/** Of this process; 0 until it has a team. */
export function rankOfProcess(): number {
  return joined?.rank ?? 0;
}

/**
 * The processes that MPI's launcher has started. For one engine at a time.
 * @throws StruPruneError ERR_NOT_FOUND without MPI; ERR_ARGUMENT where it has started another number; ERR_UNSUPPORTED
 */
export async function joinTeam(ranks: number): Promise<Team> {
  if (process.platform === 'win32') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      '--ranks: MPI is not opened on Windows',
      'leave it out, or run on Linux',
    );
  }
  requireLauncher();
  joining ??= MpiTeam.join();
  joined = await joining;
  const { size, library } = joined;
  if (size !== ranks) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--ranks ${ranks}, and MPI has started ${counted(size, 'rank')} (${library})`,
      `start as many with the launcher of that library, or name the launcher's own libmpi in STRUPRUNE_MPI`,
    );
  }
  return joined.lend();
}

/** MPICH's launcher speaks to a rank over a socket that it inherits; a program of Node hands it on to none that it starts. */
function requireLauncher(): void {
  const { PMI_FD: descriptor } = process.env;
  if (descriptor === undefined || isSocket(Number(descriptor))) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    "the launcher's socket (PMI_FD) was closed on the way here, as npx closes it",
    'have mpirun start `node_modules/.bin/struprune-native` itself',
  );
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

class MpiTeam implements Team {
  readonly rank: number;
  readonly size: number;
  readonly library: string;
  readonly handle: TeamHandle;
  #lent = false;
  /** Others may wait for this rank, since a call is to come or runs. */
  #open = false;

  static async join(): Promise<MpiTeam> {
    // UCX, under an MPI, tries whether it sees the heap grow by lowering its end (sbrk) while other threads allocate:
    // what they were given there is gone. It only needs to see that for caches of pinned memory.
    process.env.UCX_MEM_EVENTS ??= 'n';
    const { handle, ...about } = await native.joinTeam();
    const team = new MpiTeam(handle, about);
    process.once('exit', () => native.leaveTeam(handle, !team.#open));
    return team;
  }

  private constructor(handle: TeamHandle, about: { rank: number; size: number; library: string }) {
    this.handle = handle;
    this.rank = about.rank;
    this.size = about.size;
    this.library = about.library;
  }

  lend(): this {
    if (this.#lent) {
      throw new StruPruneError(
        'ERR_ARGUMENT',
        'another engine of this process has the ranks',
        'use that one, or dispose of it first',
      );
    }
    this.#lent = true;
    this.#open = true;
    return this;
  }

  [Symbol.dispose](): void {
    this.#lent = false;
  }

  async ask(order: unknown): Promise<void> {
    if (this.rank === 0) await this.#tell(order);
  }

  next<Order>(): Promise<Order> {
    return this.#tell<Order>();
  }

  async gather<T>(value: T): Promise<T[]> {
    // What cannot be told is an error of this rank, before the vote.
    const own = serialize(value);
    await this.#vote();
    const all: T[] = [];
    for (let root = 0; root < this.size; root++) {
      all.push(deserialize(await native.broadcast(this.handle, root, own)));
    }
    return all;
  }

  async first<T>(work: () => Promise<T>): Promise<T> {
    if (this.rank > 0) await this.#vote();
    const given = await work();
    if (this.rank === 0) await this.#vote();
    return given;
  }

  async call<T>(
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
    stop: () => void,
  ): Promise<T> {
    this.#open = true;
    native.beginCall(this.handle);
    const watch = setInterval(() => {
      if (!native.isWarned(this.handle)) return;
      clearInterval(watch);
      stop();
    }, WATCH_MS);
    try {
      return await work();
    } catch (error) {
      const cause = await this.causeOf(error);
      if (!native.hasEnded(this.handle)) {
        await native.warn(this.handle);
        await this.#vote(objectionOf(cause, signal));
      }
      throw cause;
    } finally {
      clearInterval(watch);
      this.#open = false;
    }
  }

  async causeOf(error: unknown): Promise<unknown> {
    const mine = (error as { code?: unknown } | null)?.code !== 'ERR_ABORTED';
    if (mine || native.hasEnded(this.handle) || !native.isWarned(this.handle)) return error;
    try {
      await this.#vote();
    } catch (theirs) {
      return theirs;
    }
    return error;
  }

  traffic(): Traffic {
    return native.teamTraffic(this.handle);
  }

  async #tell<Order>(order?: Order): Promise<Order> {
    const own = serialize(order);
    await this.#vote();
    return deserialize(await native.broadcast(this.handle, 0, own));
  }

  /** @throws StruPruneError: the objection of the first rank that has one; of this rank's own it throws nothing */
  async #vote(objection: Objection | null = null): Promise<void> {
    try {
      await native.vote(this.handle, objection);
    } catch (error) {
      throw asStruPruneError(error);
    }
  }
}

function objectionOf(error: unknown, signal: AbortSignal | undefined): Objection {
  const { code, found, mend } = asStruPruneError(error);
  return { code: signal?.aborted ? 'ERR_ABORTED' : code, found, mend };
}
