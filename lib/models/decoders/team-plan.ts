/** What a run takes on ranks that share it (docs/scale-out.md). */

import type { PlanInput } from './needs/stage';
import { planRun, type RunPlan, type StageName, type StagePlan } from './plan';

export interface TeamPlan {
  /** Of every rank. */
  inputs: PlanInput[];
  runs: RunPlan[];
  /** Whether they share the solve's tokens; else rank 0 solves alone. */
  sharesTokens: boolean;
  /** How long the sums of the solve are on their way, seconds; null where what the network carries is not known. */
  network: number | null;
  /** Seconds of the rank that takes longest. */
  longest: (stage: StageName) => number;
}

interface About {
  size: number;
  limit: number;
  network: number | undefined;
}

/**
 * `network`: what a rank can send to another, Gbit/s. Where it is known, tokens are shared only if the solve and its sums' way then
 * take less than the solve of one.
 */
export function planTeam(
  input: PlanInput,
  about: About,
  secondsOf: (stage: StagePlan) => number,
): TeamPlan {
  const shared = planned(input, about, true, secondsOf);
  if (about.network === undefined) return shared;
  const alone = planned(input, about, false, secondsOf);
  const taken = ({ longest, network }: TeamPlan) => longest('solve') + network!;
  return taken(shared) < taken(alone) ? shared : alone;
}

function planned(
  input: PlanInput,
  { size, limit, network }: About,
  sharesTokens: boolean,
  secondsOf: (stage: StagePlan) => number,
): TeamPlan {
  const ranks = Array.from({ length: size }, (_, rank) => ({ rank, size, sharesTokens }));
  const inputs = ranks.map((rank) => ({ ...input, rank }));
  const runs = inputs.map((one) => planRun(one, limit));
  // Sums go up the ranks, tile behind tile, and then down again.
  const sent = runs.map(sentBy);
  const bits = 8 * (sent[0]! + sent.at(-1)!);
  return {
    inputs,
    runs,
    sharesTokens,
    network: network === undefined ? null : bits / (network * 1e9),
    longest: (name) => {
      const stages = runs.map((run) => run.stages.find(({ stage }) => stage === name));
      return Math.max(...stages.map((stage) => (stage ? secondsOf(stage) : 0)));
    },
  };
}

/** Bytes of sums. */
export function sentBy({ stages }: RunPlan): number {
  return stages.reduce((sum, { sent }) => sum + sent, 0);
}
