import type { OnProgress } from '../../progress';
import { interruptible } from './interrupt';
import { progressView } from './progress';

/** Runs a long call of the library with progress on stderr, and stops it on Ctrl-C. */
export async function runWithProgress<T>(
  job: (callbacks: { signal: AbortSignal; onProgress: OnProgress }) => Promise<T>,
): Promise<T> {
  const view = progressView();
  try {
    return await interruptible((signal) => job({ signal, onProgress: view.onProgress }));
  } finally {
    view.clear();
  }
}
