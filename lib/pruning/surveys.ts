import type { SiteStatistics } from '../masks/statistics';
import type { Dense } from '../models/front-end';
import type { SurveySpec } from '../spec/survey';
import type { Survey } from './survey-file';

export interface SurveyInput {
  network: Dense;
  survey: SurveySpec;
}

/** A survey that a run asked for. */
export interface SurveyUse {
  /** What distinguishes it from the others of a store. */
  key: string;
  /** That making it took. */
  seconds: number;
  /** Made for this very run, which waited for it. */
  fresh: boolean;
  input: SurveyInput;
  /** null: column statistics, of which the method makes its own curves. */
  survey: Survey | null;
}

interface Made<T> {
  seconds: number;
  value: T;
}
export type MadeSurvey = Made<Survey>;

/** Where error curves outlast the process. */
export interface SurveyShelf {
  /** Those of an earlier run; null: none. */
  read(use: Pick<SurveyUse, 'key' | 'input'>): Promise<MadeSurvey | null>;
  write(use: SurveyUse): Promise<void>;
}

/**
 * Dense surveys of one model on one calibration text: each is made once, whichever widths are then asked of it.
 * `prune` has a store of its own, a benchmark one for all its runs. Owns the surveys' scratch until dispose().
 */
export class Surveys {
  readonly #curves = new Map<string, Made<Survey>>();
  readonly #columns = new Map<string, Made<SiteStatistics[]>>();
  readonly #adopted: Survey[] = [];
  readonly #onUse: ((use: SurveyUse) => void) | undefined;
  readonly #shelf: SurveyShelf | undefined;

  constructor(onUse?: (use: SurveyUse) => void, shelf?: SurveyShelf) {
    this.#onUse = onUse;
    this.#shelf = shelf;
  }

  /** Error curves, and Fisher metrics where the layer weights ask for them. */
  async curves(input: SurveyInput, make: () => Promise<Survey>): Promise<Survey> {
    const key = curvesKey(input);
    if (!this.#curves.has(key)) {
      const old = await this.#shelf?.read({ key, input });
      if (old) this.#curves.set(key, old);
    }
    const { made, fresh } = await once(this.#curves, key, make);
    const use = { key, seconds: made.seconds, fresh, input, survey: made.value };
    if (fresh) await this.#shelf?.write(use);
    this.#onUse?.(use);
    return made.value;
  }

  async columns(input: SurveyInput): Promise<SiteStatistics[]> {
    const { network, survey } = input;
    const key = columnsKey(input);
    const { made, fresh } = await once(this.#columns, key, () => network.columns(survey));
    this.#onUse?.({ key, seconds: made.seconds, fresh, input, survey: null });
    return made.value;
  }

  /** Owns a survey that was read from a file. */
  adopt(survey: Survey): void {
    this.#adopted.push(survey);
  }

  dispose(): void {
    const made = [...this.#curves.values()].map(({ value }) => value);
    for (const { metrics } of [...made, ...this.#adopted.splice(0)]) metrics?.[Symbol.dispose]();
    this.#curves.clear();
    this.#columns.clear();
  }
}

async function once<T>(
  known: Map<string, Made<T>>,
  key: string,
  make: () => Promise<T>,
): Promise<{ made: Made<T>; fresh: boolean }> {
  const old = known.get(key);
  if (old) return { made: old, fresh: false };
  const start = performance.now();
  const value = await make();
  const made = { seconds: (performance.now() - start) / 1000, value };
  known.set(key, made);
  return { made, fresh: true };
}

/** Where statistics are gathered, and on what: weights are rounded to the output's dtype as they are read. */
function placesKey({ layers }: Dense, needs: string, about: string): string {
  const places = layers.map(({ site }) => site);
  const scope = [...new Set(places)].sort().join('+');
  return [needs, `scope ${scope}`, about].join(', ');
}

function columnsKey({ network, survey }: SurveyInput): string {
  const { statistics, surveyTokens } = survey;
  const needs = `${statistics} statistics`;
  if (statistics !== 'order') return placesKey(network, needs, network.sample().about);
  return `${placesKey(network, needs, network.sample(surveyTokens).about)}, ${mostOf(network)}`;
}

/** How much of the layers may go. */
function mostOf({ layers }: Dense): string {
  const most = [...new Set(layers.map(({ allowed, groups }) => `${allowed.at(-1)}/${groups}`))];
  return `at most ${most.join(' ')}`;
}

/** Everything that changes the curves: see surveyCurves. */
function curvesKey({ network, survey }: SurveyInput): string {
  const { layerWeights, fisherLabels, seed, selection, lambda, surveyTokens } = survey;
  const labels = fisherLabels === 'sampled' ? `sampled labels ${seed}` : 'empirical labels';
  return [
    `${layerWeights} weights`,
    ...(layerWeights === 'fisher' ? [labels] : []),
    placesKey(network, `${selection} selection`, network.sample(surveyTokens).about),
    `λ ${lambda}`,
    mostOf(network),
  ].join(', ');
}
