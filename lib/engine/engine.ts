import { availableParallelism } from 'node:os';
import { asStruPruneError, StruPruneError } from '../errors';
import { type AnyHandle, type EngineHandle, native, type StoreHandle } from './native';

export interface EngineOptions {
  /** Worker threads. Default: all cores. */
  threads?: number;
  /** Limit in bytes on what the library allocates natively; 0 = none. */
  memory?: number;
  /**
   * Allow products of bf16 operands with float sums (about 3 significant digits each) where the hardware and the
   * build have them; oneDNN builds only. Holds for the whole process until the next engine. Default false.
   */
  bf16?: boolean;
  signal?: AbortSignal;
}

/** Threads and memory of one run. Jobs of one engine run one at a time; several engines may live at once. */
export class Engine {
  readonly handle: EngineHandle;
  readonly threads: number;
  readonly #stores = new Map<string, StoreHandle>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => native.setAbort(this.handle, true);

  constructor(options: EngineOptions = {}) {
    const { threads = availableParallelism(), memory = 0, bf16 = false, signal } = options;
    native.chooseGemmPath(bf16);
    this.threads = threads;
    this.handle = native.createEngine(threads, memory);
    this.#signal = signal;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The engine's one page store with scratch files in that folder; '' has its pages in memory alone. */
  store(scratch: string): StoreHandle {
    const store = this.#stores.get(scratch) ?? native.createStore(this.handle, scratch);
    this.#stores.set(scratch, store);
    return store;
  }

  /** What to throw for an error of this engine's jobs: the signal's reason where the user aborted. */
  translate(error: unknown): unknown {
    const own = asStruPruneError(error);
    if (!this.#signal?.aborted) return own;
    const { reason } = this.#signal;
    return error === reason || own.code === 'ERR_ABORTED' ? reason : own;
  }

  throwIfAborted(): void {
    this.#signal?.throwIfAborted();
  }

  /** Frees threads and memory; handles made with the engine free theirs when they are released. */
  dispose(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const store of this.#stores.values()) native.release(store);
    this.#stores.clear();
    native.release(this.handle);
  }
}

/** Runs `job` with an engine of its own, which is gone afterwards. */
export async function withEngine<T>(
  options: EngineOptions,
  job: (engine: Engine) => Promise<T>,
): Promise<T> {
  const { threads } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 1024)) {
    throw new StruPruneError('ERR_ARGUMENT', `threads must be 1 to 1024, not ${threads}`);
  }
  const engine = new Engine(options);
  try {
    return await job(engine);
  } catch (error) {
    throw engine.translate(error);
  } finally {
    engine.dispose();
  }
}

/** Runs `use` and releases the handle, also when it fails. */
export async function using<H extends AnyHandle, T>(
  handle: H,
  use: (handle: H) => Promise<T>,
): Promise<T> {
  try {
    return await use(handle);
  } finally {
    native.release(handle);
  }
}
