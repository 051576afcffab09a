import { asStruPruneError } from './errors';

type Call = (...args: never[]) => unknown;

const thrown = new WeakSet<object>();

/** Whether code of the caller's threw it: then the call rejects with that very value. Nothing of ours throws primitives. */
export function isCallers(error: unknown): boolean {
  return Object(error) !== error || thrown.has(error as object);
}

/** Code of the caller's, whose errors `isCallers` knows; those of our own functions that it calls stay ours. */
function calling<F extends Call>(call: F): F {
  const failed = (error: unknown): never => {
    if (Object(error) === error && asStruPruneError(error).code === 'ERR_INTERNAL') {
      thrown.add(error as object);
    }
    throw error;
  };
  const called = (...args: never[]) => {
    try {
      const result = call(...args);
      return result instanceof Promise ? result.catch(failed) : result;
    } catch (error) {
      return failed(error);
    }
  };
  return called as F;
}

/**
 * Those of the caller's functions that one call only tells something, so that nobody awaits them: what a promise of
 * theirs rejects with first is thrown the next time that one of them would be told something.
 */
export class Listeners {
  readonly #deaf: boolean;
  #rejection: { error: unknown } | undefined;

  /** `deaf`: none of them is told anything. */
  constructor({ deaf } = { deaf: false }) {
    this.#deaf = deaf;
  }

  /** The listener, whose errors `isCallers` knows. */
  hear<F extends Call>(listener: F): F {
    if (this.#deaf) return (() => {}) as unknown as F;
    const call = calling(listener);
    const heard = (...args: never[]) => {
      this.throwIfRejected();
      const result = call(...args);
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          this.#rejection ??= { error };
        });
      }
    };
    return heard as F;
  }

  throwIfRejected(): void {
    if (this.#rejection) throw this.#rejection.error;
  }
}

/**
 * A function of the caller's in place of one of the program's, under the name by which journals, reports and model cards
 * know it. Whoever changes what the function does changes its name too, for example `flat 2`: a journal cannot tell.
 */
export class Own<F extends Call> {
  readonly name: string | undefined;
  readonly call: F;

  constructor(name: string | undefined, call: F) {
    this.name = name;
    this.call = calling(call);
  }

  toString(): string {
    return this.name === undefined ? 'own, without a name' : `own "${this.name}"`;
  }

  toJSON(): string {
    return String(this);
  }
}
