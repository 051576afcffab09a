/** Long arithmetic of the main thread, written as a generator that pauses wherever it yields. */
export type Steps<T> = Generator<void, T, void>;

/** Milliseconds at work before the event loop gets a turn. */
const SLICE_MS = 5;

/** No steps at all. */
export function* finished<T>(value: T): Steps<T> {
  yield;
  return value;
}

/** All of it now. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same without keeping the event loop waiting: timers and input have a turn every few milliseconds. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (let start = performance.now(); ; ) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - start < SLICE_MS) continue;
    await turn();
    start = performance.now();
  }
}

/** One turn for everything else that waits in the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
