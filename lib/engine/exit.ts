/** Node waits for a native job when the process exits: the jobs of all engines are told to end. */
import type { EngineHandle } from './handles';
import { native } from './native';

/** Weak, so that engines which nobody disposes of are freed. One listener serves them all. */
const live = new Set<WeakRef<EngineHandle>>();
/** What a WeakRef is asked for stays until its task has ended: engines that have gone are not looked for by asking. */
const gone = new FinalizationRegistry(forget);

function abortAll(): void {
  for (const engine of live) {
    const handle = engine.deref();
    if (handle) native.setAbort(handle, true);
  }
}

function forget(engine: WeakRef<EngineHandle>): void {
  live.delete(engine);
  if (live.size === 0) process.off('exit', abortAll);
}

/** Aborts the engine's job when the process exits. Returns what ends that: to be called before the handle is released. */
export function abortAtExit(handle: EngineHandle): () => void {
  if (live.size === 0) process.once('exit', abortAll);
  const engine = new WeakRef(handle);
  live.add(engine);
  gone.register(handle, engine, engine);
  return () => {
    gone.unregister(engine);
    forget(engine);
  };
}
