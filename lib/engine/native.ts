/**
 * The native addon as it is: functions over opaque handles and plain data (docs/native-boundary.md). The classes of this room
 * own the handles; the rest of the library calls them, and of this only what needs no handle. Long calls are promises that run
 * on a worker thread and, on one engine, one at a time. Errors are plain Errors with `code` and `mend`: the public functions
 * turn them into StruPruneError (lib/errors.ts).
 */
import { scarcity } from '../errors';
import { packageRoot } from '../package-root';
import type { AnyHandle } from './handles';
import { loadError } from './load-error';
import type { NativeBench } from './native-bench';
import type { NativeBlock } from './native-block';
import type { NativeContainers } from './native-containers';
import type { NativeDevices } from './native-devices';
import type { NativeEnds } from './native-ends';
import type { NativeEngine } from './native-engine';
import type { NativeFfn } from './native-ffn';
import { addonFile } from './native-files';
import type { NativeNeeds } from './native-needs';
import type { NativeNumbers } from './native-numbers';
import type { NativePages } from './native-pages';
import type { NativeSolvers } from './native-solver';
import type { NativeTeam } from './native-team';

export interface NativeAddon
  extends NativeBench,
    NativeBlock,
    NativeDevices,
    NativeEnds,
    NativeEngine,
    NativeFfn,
    NativeContainers,
    NativeNeeds,
    NativeNumbers,
    NativePages,
    NativeSolvers,
    NativeTeam {
  /** Frees the object of a handle. */
  release(handle: AnyHandle): void;
  /** The same on a worker thread. */
  free(handle: AnyHandle): Promise<void>;
  /** Largest resident size of the process so far, bytes. */
  peakRss(): number;
  /** Locks an open file, against other machines too where the file system can; unknown: it has no locks. Ends with the file. */
  lockFile(descriptor: number): 'taken' | 'held' | 'unknown';
  /** Frees the bytes now; the array is empty afterwards. */
  dropBytes(bytes: Uint8Array | Float32Array): void;
}

function load(): NativeAddon {
  try {
    return require(addonFile());
  } catch (cause) {
    throw scarcity(cause) ?? loadError(cause as Error, packageRoot());
  }
}

let loaded: NativeAddon | undefined;

/** Loaded when something of it is first asked for: help needs no addon, and its absence is an error of the call. */
export const native: NativeAddon = new Proxy({} as NativeAddon, {
  get: (_target, name) => {
    loaded ??= load();
    return Reflect.get(loaded, name);
  },
});
