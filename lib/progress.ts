/** What a long call is doing, for progress bars and logs. */
export interface Progress {
  stage: 'tokenise' | 'evaluate' | 'survey' | 'solve' | 'write' | 'verify' | 'measure';
  /** Blocks, windows or tensors done and in all, whichever the stage counts. */
  done: number;
  total: number;
  /** One line for people, for example "block 3 of 30". */
  message: string;
  /** Seconds that this stage will take from here at its pace so far; null until it is known. */
  secondsLeft: number | null;
}

export type OnProgress = (progress: Progress) => void;

/** Hears a warning when it arises; the result has all of them again. */
export type OnWarning = (message: string) => void;

/** Reports one stage: call it with what is done after every unit of work. */
export function stageReporter(
  onProgress: OnProgress | undefined,
  stage: Progress['stage'],
  total: number,
): (done: number, message: string) => void {
  const start = performance.now();
  return (done, message) => {
    const elapsed = (performance.now() - start) / 1000;
    const secondsLeft = done > 0 ? (elapsed / done) * (total - done) : null;
    onProgress?.({ stage, done, total, message, secondsLeft });
  };
}
