import { availableParallelism, freemem, tmpdir } from 'node:os';
import { z } from 'zod';
import { bytes, count, parse } from '../check';
import { asStruPruneError, StruPruneError } from '../errors';
import { counted, MIB, wholeMebibytes } from '../numbers';
import { isCallers, Listeners } from '../own';
import type { OnProgress, OnStage } from '../progress';
import { worded } from '../wording';
import type { MachineOptions } from './engine-options';
import { abortAtExit } from './exit';
import { chooseDevice, indexOf } from './gpu';
import type { EngineHandle } from './handles';
import { native } from './native';
import type { Precision } from './native-devices';
import type { MemoryUse } from './native-engine';
import { cudaLibrary } from './native-files';
import { nativeLimit, processReserve } from './reserve';
import { Store } from './store';
import { ALONE, joinTeam, type Team } from './team';

const schema = z.strictObject({
  threads: z.number().int().min(1).max(1024).default(availableParallelism),
  memory: bytes.default(0),
  bf16: z.boolean().default(false),
  fullPrecision: z.boolean().default(false),
  device: z.string().default('auto'),
  deviceMemory: bytes.default(0),
  ranks: count.optional(),
  network: z.number().positive().optional(),
  onNotice: z
    .custom<(text: string) => void>((value) => typeof value === 'function')
    .describe('a function')
    .optional(),
});

/** Without a budget, pages that may lie in scratch fill memory up to here: half of what is free now, in bytes. */
export function roomWithoutLimit(): number {
  return Math.floor((process.availableMemory?.() ?? freemem()) / 2);
}

/**
 * Threads and a memory budget for any number of calls, which have them one after the other, each under its own signal.
 * Several engines may live and work at once. `await using engine = new Engine(…)` disposes of it.
 */
export class Engine implements AsyncDisposable {
  /** @internal */
  readonly handle: EngineHandle;
  readonly threads: number;
  /** The library and the precision of its float products, as `devices` names them. */
  readonly gemmPath: string;
  /** The same of sums over calibration tokens, on the CPU. */
  readonly calibrationPath: string;
  /** The same of searches, whose finds an exact measure judges (docs/decisions/0016). */
  readonly searchPath: string;
  /** @internal */
  readonly precision: Precision;
  readonly #machine: z.output<typeof schema>;
  /** Settles when the engine has its device. */
  #attached: Promise<void> | undefined;
  #device = 'cpu';
  #team: Team = ALONE;
  readonly #notices: string[] = [];
  readonly #told = new Set<string>();
  readonly #stores = new Map<string, Store>();
  /** Bytes from and to stores that are closed. */
  #traffic = { read: 0, written: 0 };
  /** Of the call that has the engine now. */
  #signal: AbortSignal | undefined;
  #listeners = new Listeners();
  /** Settles when all calls so far have ended. */
  #calls: Promise<void> = Promise.resolve();
  #disposed = false;
  readonly #forgetExit: () => void;

  /** @throws StruPruneError ERR_ARGUMENT */
  constructor(options: MachineOptions = {}) {
    this.#machine = parse(schema, options);
    const { threads, memory, device } = this.#machine;
    indexOf(device);
    requireMoreThanReserve(memory, threads);
    this.threads = threads;
    this.precision = precisionOf(this.#machine);
    const paths = native.gemmPathsOf(this.precision);
    this.gemmPath = paths.own;
    this.calibrationPath = paths.calibrating;
    this.searchPath = paths.searching;
    this.handle = native.createEngine(threads, nativeLimit(memory, threads), this.precision);
    this.#forgetExit = abortAtExit(this.handle);
  }

  /**
   * Bytes that the library has allocated natively: now, the most since the engine was made, and their limit (0 = none),
   * which is the engine's `memory` less what the process takes beside them. `kept`: freed since, and held for the next
   * allocations of the call that runs.
   */
  get memory(): MemoryUse & { kept: number } {
    return native.memoryOf(this.handle);
  }

  /**
   * The same of its GPU; null without one.
   * @internal
   */
  get gpuMemory(): MemoryUse | null {
    return native.gpuMemoryOf(this.handle);
  }

  /**
   * What the call that runs has planned for, in bytes: pages may fill memory up to `room`, and `memory` will be needed at
   * once.
   * @internal
   */
  expect({ room, memory }: { room: number; memory: number }): void {
    native.setRoom(this.handle, room);
    native.expect(this.handle, memory);
  }

  /**
   * The whole budget in bytes, 0 = none.
   * @internal
   */
  get budget(): number {
    return this.#machine.memory;
  }

  /** @internal */
  get bounded(): boolean {
    return this.budget > 0;
  }

  /** @internal */
  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * What it was made of, defaults included, with the device that it works on.
   * @internal
   */
  get settings() {
    const { threads, memory, bf16, fullPrecision, deviceMemory } = this.#machine;
    return { threads, memory, bf16, fullPrecision, device: this.#device, deviceMemory };
  }

  /**
   * Folder for what a budget leaves no room for; '' without one.
   * @internal
   */
  get overflow(): string {
    return this.budget === 0 ? '' : tmpdir();
  }

  /** Where it computes, known from the first call on: `cpu`, or the GPU, its libraries and the limit on its memory. */
  get device(): string {
    return this.#device;
  }

  /**
   * The processes that share its calls, known from the first call on.
   * @internal
   */
  get team(): Team {
    return this.#team;
  }

  /**
   * Whether it was asked to be one of a team.
   * @internal
   */
  get shares(): boolean {
    return this.#machine.ranks !== undefined;
  }

  /**
   * Between ranks, Gbit/s; undefined: not known.
   * @internal
   */
  get network(): number | undefined {
    return this.#machine.network;
  }

  /** @throws StruPruneError ERR_DEVICE, ERR_BUDGET; what joinTeam throws */
  async #attach(): Promise<void> {
    await this.#attachGpu();
    const { ranks } = this.#machine;
    // Last: from here on the others wait for this one.
    if (ranks !== undefined) this.#team = await joinTeam(ranks);
  }

  /** @throws StruPruneError ERR_DEVICE, ERR_BUDGET */
  async #attachGpu(): Promise<void> {
    const { device, deviceMemory } = this.#machine;
    const { precision } = this;
    const { index, reason } = await chooseDevice(device);
    if (reason) this.#notices.push(`on the CPU: ${reason.found}; for a GPU, ${reason.mend}`);
    if (index === null) return;
    const settings = { library: cudaLibrary(), index, memory: deviceMemory, precision };
    const attached = await native.attachGpu(this.handle, settings).catch((error: unknown) => {
      const { code, found, mend } = asStruPruneError(error);
      // A GPU that nobody named may be full or broken; the CPU is there.
      if (device !== 'auto' || !['ERR_BUDGET', 'ERR_DEVICE'].includes(code)) throw error;
      this.#notices.push(`on the CPU: cuda:${index}: ${found}; for a GPU, ${mend}`);
      return null;
    });
    if (!attached) return;
    const { description, hasBlas } = attached;
    // How pages and matrices are cut, and with it the last bits, follow from the limit.
    this.#device = `${description}, ${this.gpuMemory!.limit} bytes`;
    this.#notices.push(`on cuda:${index}: ${description}`);
    // What a GPU is slower without by an order of magnitude.
    if (!hasBlas) {
      this.#notices.push(
        'cuBLAS is not used, so the GPU is slow: have libcublas.so.13 (.12 for a library that CUDA 12 made) where the loader finds it, or name it in STRUPRUNE_CUBLAS',
      );
    }
  }

  /**
   * Runs a call when those before it have ended. `signal` stops this one alone, waiting or running.
   * @internal
   */
  run<T>(signal: AbortSignal | undefined, call: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.#disposed) {
      return Promise.reject(
        new StruPruneError('ERR_ARGUMENT', 'the engine was disposed of', 'make another'),
      );
    }
    const before = this.#calls;
    const result = settledOrAborted(before, signal).then(() => this.#alone(signal, call));
    // Nothing of a result may stay here, or a long-lived engine keeps them all.
    this.#calls = Promise.allSettled([before, result]).then(() => {});
    return result;
  }

  async #alone<T>(
    signal: AbortSignal | undefined,
    call: (engine: Engine) => Promise<T>,
  ): Promise<T> {
    const abort = () => this.stop();
    // The call before may have kept its pages within the plan of another model.
    native.setRoom(this.handle, this.memory.limit || roomWithoutLimit());
    this.#signal = signal;
    this.#listeners = new Listeners();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      signal?.throwIfAborted();
      this.#attached ??= this.#attach();
      await settledOrAborted(this.#attached, signal);
      // What is told is told by rank 0.
      if (this.#team.rank > 0) this.#listeners = new Listeners({ deaf: true });
      this.#tell();
      return await call(this);
    } catch (error) {
      throw this.translate(error);
    } finally {
      signal?.removeEventListener('abort', abort);
      native.setAbort(this.handle, false);
      this.#signal = undefined;
      this.#closeStores();
      await native.giveBack(this.handle);
    }
  }

  /**
   * Ends what native code is at for the call that runs, as its signal would.
   * @internal
   */
  stop(): void {
    native.setAbort(this.handle, true);
  }

  /**
   * Tells the user, once however often it is said.
   * @internal
   */
  notify(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#notices.push(text);
    this.#tell();
  }

  /** Once. What the listener throws ends its call and not the engine, which has its device. */
  #tell(): void {
    const { onNotice } = this.#machine;
    const notices = this.#notices.splice(0);
    if (onNotice) for (const text of notices) this.listeners.hear(onNotice)(worded(text));
  }

  /**
   * The one page store of the call that runs with scratch files in that folder; '' has its pages in memory alone.
   * @internal
   */
  store(scratch: string): Store {
    const store = this.#stores.get(scratch) ?? new Store(this.handle, scratch);
    this.#stores.set(scratch, store);
    return store;
  }

  /**
   * Bytes from and to all scratch files so far.
   * @internal
   */
  get scratchTraffic(): { read: number; written: number } {
    const all = [...this.#stores.values()].map((store) => store.traffic);
    const sum = (key: 'read' | 'written') =>
      all.reduce((total, one) => total + one[key], this.#traffic[key]);
    return { read: sum('read'), written: sum('written') };
  }

  /** At the end of a call: the next one may name other folders, and each store holds a file. */
  #closeStores(): void {
    this.#traffic = this.scratchTraffic;
    for (const store of this.#stores.values()) store[Symbol.dispose]();
    this.#stores.clear();
  }

  /**
   * What to throw for an error of the call that runs: the signal's reason where the user aborted, and as it is what the
   * user's own code threw.
   * @internal
   */
  translate(error: unknown): unknown {
    if (isCallers(error)) return error;
    if (!this.#signal?.aborted) return asStruPruneError(error);
    const { reason } = this.#signal;
    // Node's own streams end with an AbortError of theirs.
    if (error === reason || (error as Error | undefined)?.name === 'AbortError') return reason;
    const own = asStruPruneError(error);
    return own.code === 'ERR_ABORTED' ? reason : own;
  }

  /**
   * Of the call that has the engine now.
   * @internal
   */
  get listeners(): Listeners {
    return this.#listeners;
  }

  /**
   * Also throws what a promise of a listener has rejected with.
   * @internal
   */
  throwIfAborted(): void {
    this.#signal?.throwIfAborted();
    this.#listeners.throwIfRejected();
  }

  /** Takes no further calls, waits for those it has, and frees threads and memory. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#calls;
    this.#forgetExit();
    this.#team[Symbol.dispose]();
    native.release(this.handle);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** @throws StruPruneError ERR_ARGUMENT */
function precisionOf({
  bf16,
  fullPrecision,
}: Pick<z.output<typeof schema>, 'bf16' | 'fullPrecision'>): Precision {
  if (bf16 && fullPrecision) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--bf16 and --full-precision exclude each other',
      'give one of them, or none',
    );
  }
  if (bf16) return 'bf16';
  return fullPrecision ? 'f32' : 'bf16x3';
}

/** @throws StruPruneError ERR_BUDGET where the process alone takes what there is, however small the model */
function requireMoreThanReserve(memory: number, threads: number): void {
  const least = processReserve(threads);
  if (memory === 0 || memory > least) return;
  const mebibytes = wholeMebibytes(least);
  const [budget, slip] =
    memory < MIB
      ? [counted(memory, 'byte'), 'was a unit left out? ']
      : [`${Math.floor(memory / MIB)} MiB`, ''];
  throw new StruPruneError(
    'ERR_BUDGET',
    `the process itself needs ${mebibytes} MiB with ${counted(threads, 'thread')}, the budget is ${budget}`,
    `${slip}raise --memory well above ${mebibytes}MiB${threads > 1 ? ', or give fewer --threads' : ''}`,
  );
}

/** @throws the signal's reason when it aborts first */
async function settledOrAborted(before: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (!signal) return before;
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([before, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A listener to stages that tells the caller's how much memory the engine holds; null: another program is at work. */
export function withBytes(
  engine: Engine | null,
  onProgress: OnProgress | undefined,
): OnStage | undefined {
  const listeners = engine?.listeners ?? new Listeners();
  const tell = onProgress && listeners.hear(onProgress);
  return tell && ((stage) => tell({ overall: null, ...stage, bytes: engine?.memory.used ?? 0 }));
}
