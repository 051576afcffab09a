import type { TeamHandle } from './handles';

export interface JoinedTeam {
  handle: TeamHandle;
  rank: number;
  size: number;
  /** What MPI it is, for people. */
  library: string;
}

/** Why a call ends. */
export interface Objection {
  code: string;
  found: string;
  mend: string;
}

/** Of a rank since it joined. */
export interface Traffic {
  /** Bytes. */
  sent: number;
  /** Of them those of sums over tokens. */
  sums: number;
  /** In which it sent, or waited for others. */
  seconds: number;
}

/** The ranks of a run, over MPI. Each of them makes the same calls in the same order. */
export interface NativeTeam {
  /** Opens MPI; it is the same team however often it is joined. */
  joinTeam(): Promise<JoinedTeam>;
  /** The root's bytes, on every rank. */
  broadcast(team: TeamHandle, root: number, bytes: Uint8Array): Promise<Uint8Array>;
  /** A call begins, which passes over shared tokens may end by a vote of their own. */
  beginCall(team: TeamHandle): void;
  /** @throws the objection of the first rank that has one, on all the others */
  vote(team: TeamHandle, objection: Objection | null): Promise<void>;
  /** Tells the others that the call of this rank has ended by an error, which it votes for next. */
  warn(team: TeamHandle): Promise<void>;
  /** Whether another rank has told so of this call. */
  isWarned(team: TeamHandle): boolean;
  /** Whether a vote has ended the call. */
  hasEnded(team: TeamHandle): boolean;
  teamTraffic(team: TeamHandle): Traffic;
  /** Ends MPI in this process; `settled` = false: all ranks, which may wait for this one. */
  leaveTeam(team: TeamHandle, settled: boolean): void;
}
