import { removeUnfinished } from '../../checkpoint/unfinished';
import { rankOfProcess } from '../../engine/team';
import { StruPruneError } from '../../errors';
import { exitCodeOfSignal } from './exit-codes';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `job` with a signal that aborts on Ctrl-C (or SIGTERM, SIGHUP), so that it can clear away what it has
 * half written. A second one does not wait for it: what is half written goes and the process ends at once.
 */
export async function interruptible<T>(job: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const handler = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      removeUnfinished();
      process.exit(exitCodeOfSignal(name));
    }
    if (rankOfProcess() === 0)
      process.stderr.write('\nstopping and clearing up (once more to quit at once)\n');
    controller.abort(new Interruption(name));
  };
  for (const name of SIGNALS) process.on(name, handler);
  try {
    return await job(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, handler);
  }
}

/** What a run ends with when a signal stopped it. */
export class Interruption extends StruPruneError {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals, mend = '') {
    super('ERR_ABORTED', `stopped by ${signal}`, mend);
    this.signal = signal;
  }
}
