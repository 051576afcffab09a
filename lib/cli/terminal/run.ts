import type { OnProgress } from '../../progress';
import { interruptible } from './interrupt';
import { progressView } from './progress';

interface Callbacks {
  signal: AbortSignal;
  onProgress: OnProgress;
  onNotice: (text: string) => void;
}

/** Runs a long call of the library with progress and notices on stderr, and stops it on Ctrl-C. */
export async function runWithProgress<T>(job: (callbacks: Callbacks) => Promise<T>): Promise<T> {
  const view = progressView();
  // Printed when work begins: what is refused before has one line, the error's.
  let notices: string[] = [];
  const onNotice = (text: string) => notices.push(text);
  const onProgress: OnProgress = (progress) => {
    for (const text of notices) process.stderr.write(`${text}\n`);
    notices = [];
    view.onProgress(progress);
  };
  try {
    return await interruptible((signal) => job({ signal, onProgress, onNotice }));
  } finally {
    view.clear();
  }
}
