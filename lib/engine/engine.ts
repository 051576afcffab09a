import { availableParallelism } from 'node:os';
import { asStruPruneError, StruPruneError } from '../errors';
import type { EngineOptions } from './engine-options';
import { chooseDevice, cudaLibrary } from './gpu';
import { type AnyHandle, type EngineHandle, native } from './native';

/** Threads and memory of one run. Jobs of one engine run one at a time; several engines may live at once. */
export class Engine {
  readonly handle: EngineHandle;
  readonly threads: number;
  /** Where sites are computed: `cpu`, or the GPU, its libraries and the limit that was asked for, in words. */
  device = 'cpu';
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

  /** Takes the sites to the device of the options. @throws StruPruneError ERR_DEVICE, ERR_BUDGET */
  async attach(options: EngineOptions): Promise<void> {
    const { device = 'auto', deviceMemory = 0, bf16 = false, onNotice = () => {} } = options;
    const { index, reason } = await chooseDevice(device);
    if (reason) return onNotice(`on the CPU: ${reason.found}; for a GPU, ${reason.mend}`);
    if (index === null) return;
    const settings = { library: cudaLibrary(), index, memory: deviceMemory, bf16 };
    const description = await native.attachGpu(this.handle, settings);
    this.device = deviceMemory === 0 ? description : `${description}, ${deviceMemory} bytes`;
    onNotice(`on cuda:${index}: ${description}`);
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
    await engine.attach(options);
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
