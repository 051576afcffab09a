import type { OnProgress, OnWarning } from '../../progress';
import { warn } from '../output/print';
import { interruptible } from './interrupt';
import { progressView } from './progress';

/** What the terminal gives a long call of the library. */
export interface Callbacks {
  signal: AbortSignal;
  onProgress: OnProgress;
  onWarning: OnWarning;
}

/** Runs a long call with progress and warnings on stderr, and stops it on Ctrl-C. */
export async function runWithProgress<T>(job: (callbacks: Callbacks) => Promise<T>): Promise<T> {
  const view = progressView();
  const onWarning = (message: string) => {
    view.clear();
    warn(message);
  };
  try {
    return await interruptible((signal) => job({ signal, onProgress: view.onProgress, onWarning }));
  } finally {
    view.clear();
  }
}
