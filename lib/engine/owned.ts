import type { AnyHandle } from './handles';
import { native } from './native';

/**
 * What owns a native object, and frees it where its `using` ends; one that nobody disposes of goes with the garbage. Whatever
 * is asked of it afterwards is ERR_ARGUMENT. A running job keeps what it uses.
 */
export abstract class Owned<H extends AnyHandle> implements Disposable, AsyncDisposable {
  /** @internal */
  readonly handle: H;

  constructor(handle: H) {
    this.handle = handle;
  }

  [Symbol.dispose](): void {
    native.release(this.handle);
  }

  /** On a worker thread: the memory of a gigabyte of pages takes a tenth of a second to go. */
  [Symbol.asyncDispose](): Promise<void> {
    return native.free(this.handle);
  }
}

/** Runs `use` and disposes of the object, also when it fails. */
export async function using<O extends AsyncDisposable, T>(
  owned: O,
  use: (owned: O) => Promise<T>,
): Promise<T> {
  await using mine = owned;
  return await use(mine);
}

/** Runs `use`, and disposes of the object where it fails: else it is the caller's still. */
export async function orDispose<T>(owned: Disposable, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    owned[Symbol.dispose]();
    throw error;
  }
}

/** One after the other. */
export async function disposeAll(owned: Iterable<AsyncDisposable | null>): Promise<void> {
  for (const one of owned) await one?.[Symbol.asyncDispose]();
}
