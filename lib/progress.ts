/** What a long call is doing, for progress bars and logs. */
export interface Progress {
  stage:
    | 'download'
    | 'tokenise'
    | 'evaluate'
    | 'sample'
    | 'survey'
    | 'depth'
    | 'search'
    | 'confidence'
    | 'solve'
    | 'tune'
    | 'write'
    | 'verify'
    | 'measure';
  /**
   * Steps done and in all, whichever the stage counts: bytes, blocks, windows, tokens, tensors. A survey by trial counts its blocks
   * and those that trials go through.
   */
  done: number;
  total: number;
  /** The block that was just finished, from 0; null where the stage does not go by blocks. */
  block: number | null;
  /** Bytes that the library has allocated natively at this moment. */
  bytes: number;
  /** One line for people, for example "block 3 of 30". */
  message: string;
  /** Seconds that this stage will take from here at its pace so far; null until it is known. */
  secondsLeft: number | null;
  /**
   * Of all stages together: the share that is done, 0 to 1, by the work that a plan gives each, and the seconds left at the pace
   * so far; null for calls of one stage.
   */
  overall: { share: number; secondsLeft: number | null } | null;
}

export type OnProgress = (progress: Progress) => void;

/**
 * What a stage tells; `withBytes` of lib/engine/engine.ts adds the memory, and a run of many stages all of them. `resumed`: an
 * earlier run did what was done since the last time, which says nothing of the pace.
 */
export type OnStage = (
  progress: Omit<Progress, 'bytes' | 'overall'> & Partial<Pick<Progress, 'overall'>>,
  resumed?: boolean,
) => void;

/** Hears a warning when it arises; the result has all of them again. */
export type OnWarning = (message: string) => void;

/**
 * Reports one stage: call it with what is done after every unit of work, with the block where it was one, and whether it was
 * done by an earlier run.
 */
export function stageReporter(
  onStage: OnStage | undefined,
  stage: Progress['stage'],
  total: number,
): (done: number, message: string, block?: number, resumed?: boolean) => void {
  let from = { time: performance.now(), done: 0 };
  return (done, message, block, resumed = false) => {
    const time = performance.now();
    if (resumed) from = { time, done };
    const own = done - from.done;
    const secondsLeft = own > 0 ? ((time - from.time) / 1000 / own) * (total - done) : null;
    onStage?.({ stage, done, total, block: block ?? null, message, secondsLeft }, resumed);
  };
}
