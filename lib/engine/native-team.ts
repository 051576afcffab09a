import type { TeamHandle } from './handles';

export interface JoinedTeam {
  handle: TeamHandle;
  rank: number;
  size: number;
  /** What MPI it is, for people. */
  library: string;
}

/** The ranks of a run, over MPI. Each of them makes the same calls in the same order. */
export interface NativeTeam {
  /** Opens MPI; it is the same team however often it is joined. */
  joinTeam(): Promise<JoinedTeam>;
  /** The root's bytes, on every rank. */
  broadcast(team: TeamHandle, root: number, bytes: Uint8Array): Promise<Uint8Array>;
  /** On every rank the bytes of the first one that gives some. */
  vote(team: TeamHandle, bytes: Uint8Array): Promise<Uint8Array>;
  /** Ends MPI in this process; `settled` = false: all ranks, which may wait for this one. */
  leaveTeam(team: TeamHandle, settled: boolean): void;
}
