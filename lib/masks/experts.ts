/** Which experts of a layer stay. */
import { keepBest } from './select';

/** What experts do for the output of their layer, by sums over tokens, where some of them are gone. */
export interface ExpertSums {
  /** `[experts]` of the norm of what each adds, its gate included. */
  norms: Float64Array;
  /** `[experts]` tokens routed to each. */
  tokens: Float64Array;
  /** `[experts]` by how much the squared error of the output would grow if it went too; of those that are gone nothing. */
  growth: Float64Array;
  /** Squared error of the output, and its squared norm with all experts. */
  error: number;
  energy: number;
}

/** Measures the layer without some of its experts. */
export type ExpertTrial = (gone: Int32Array) => Promise<ExpertSums>;

export interface ExpertChoice {
  /** Ascending. */
  kept: Int32Array;
  /** `[experts]` tokens that were routed to each while none was gone. */
  tokens: Float64Array;
  /** Squared error of the output without the others, as a share of its squared norm. */
  relativeError: number;
}

interface ExpertSearch {
  /** Trials that it makes of so many experts. */
  trials(removed: number): number;
  /** Those that go, ascending; `sums`: with all of them. */
  find(sums: ExpertSums, removed: number, trial: ExpertTrial): Promise<Int32Array>;
}

/** Most rounds of `error`: those that go in one of them are chosen as if each went alone. */
const ROUNDS = 8;

const roundsOf = (removed: number) => Math.min(ROUNDS, removed);

const SEARCHES = {
  /** REAP (arXiv 2510.13999): the mean, over the tokens routed to an expert, of the norm of what it adds. */
  reap: {
    trials: () => 0,
    find: async ({ norms, tokens }, removed) =>
      lowest(
        norms.map((sum, expert) => sum / Math.max(1, tokens[expert]!)),
        removed,
      ),
  },
  /** Those go without which the output errs least, exactly: tokens are routed to those that stay. */
  error: {
    trials: (removed) => roundsOf(removed) - 1,
    find: async (sums, removed, trial) => {
      let gone: Int32Array = new Int32Array();
      for (const count of roundsOfCurve(removed)) {
        gone = nextOut(gone.length === 0 ? sums : await trial(gone), gone, count);
      }
      return gone;
    },
  },
} as const satisfies Record<string, ExpertSearch>;

export type ExpertSearchName = keyof typeof SEARCHES;

/** What goes with the output of a layer when more and more of its experts go. */
export interface ExpertCurve {
  /** `[most + 1]` squared error of the output without so many; by straight lines between the rounds. */
  error: Float64Array;
  /** Squared norm of the output with all. */
  energy: number;
  /** Those that had gone after each round, and the error then. */
  rounds: { gone: Int32Array; error: number }[];
}

/** Experts that are gone after each round. */
export function roundsOfCurve(most: number): number[] {
  const count = roundsOf(most);
  return Array.from({ length: count }, (_, round) => Math.round((most * (round + 1)) / count));
}

/** Passes over the tokens that a curve takes. */
export function passesOfCurve(most: number): number {
  return 1 + roundsOf(most);
}

/** As `error` goes on, up to the most that may go. */
export async function expertCurve(trial: ExpertTrial, most: number): Promise<ExpertCurve> {
  let sums = await trial(new Int32Array());
  const { energy } = sums;
  const rounds: ExpertCurve['rounds'] = [];
  let gone: Int32Array = new Int32Array();
  const error = new Float64Array(most + 1);
  for (const count of roundsOfCurve(most)) {
    const next = nextOut(sums, gone, count);
    sums = await trial(next);
    const [from, to] = [gone.length, next.length];
    for (let k = from + 1; k <= to; k++) {
      const share = (k - from) / (to - from);
      error[k] = (1 - share) * error[from]! + share * sums.error;
    }
    gone = next;
    rounds.push({ gone, error: sums.error });
  }
  return { error, energy, rounds };
}

/** So many without which the output errs least, those of `gone` among them. */
function nextOut({ growth }: ExpertSums, gone: Int32Array, count: number): Int32Array {
  for (const expert of gone) growth[expert] = -Infinity;
  return lowest(growth, count);
}

/** Passes over the tokens by which so many experts go: with all of them, those of the search, and without what it chose. */
export function passesOf(search: ExpertSearchName, removed: number): number {
  return 2 + SEARCHES[search].trials(removed);
}

export async function findExperts(
  search: ExpertSearchName,
  trial: ExpertTrial,
  removed: number,
): Promise<ExpertChoice> {
  const sums = await trial(new Int32Array());
  const { tokens } = sums;
  const gone = await SEARCHES[search].find(sums, removed, trial);
  const { error, energy } = await trial(gone);
  const kept = Int32Array.from(tokens.keys()).filter((expert) => !gone.includes(expert));
  return { kept, tokens, relativeError: energy > 0 ? error / energy : 0 };
}

function lowest(scores: Float64Array, count: number): Int32Array {
  const kept = keepBest(scores, count);
  return Int32Array.from(scores.keys()).filter((expert) => !kept.includes(expert));
}
