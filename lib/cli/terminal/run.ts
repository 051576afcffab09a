import type { OnProgress, OnWarning } from '../../progress';
import { tell, warn } from '../output/print';
import { interruptible } from './interrupt';
import { progressView } from './progress';

/** What the terminal gives a long call of the library. */
export interface Callbacks {
  signal: AbortSignal;
  onProgress: OnProgress;
  onWarning: OnWarning;
  onNotice: (text: string) => void;
}

/** Runs a long call with progress, warnings and notices on stderr, and stops it on Ctrl-C. */
export async function runWithProgress<T>(job: (callbacks: Callbacks) => Promise<T>): Promise<T> {
  const view = progressView();
  const onWarning = (message: string) => {
    view.clear();
    warn(message);
  };
  // Printed when work begins: what is refused before has one line, the error's.
  let notices: string[] = [];
  const onNotice = (text: string) => notices.push(text);
  const onProgress: OnProgress = (progress) => {
    for (const text of notices) tell(text);
    notices = [];
    view.onProgress(progress);
  };
  const callbacks = { onProgress, onWarning, onNotice };
  try {
    return await interruptible((signal) => job({ signal, ...callbacks }));
  } finally {
    view.clear();
  }
}
