import { native } from '../engine/native';
import type { ScoreMethod, SiteStatistics } from '../methods';
import { type Survey, type SurveyInput, surveyColumns, surveyCurves } from './survey';

export interface Made<T> {
  /** What distinguishes it from the others of a store. */
  key: string;
  seconds: number;
  value: T;
}

/**
 * Dense surveys of one model on one calibration text: each is made once, whichever widths are then asked of it.
 * `prune` has a store of its own, a benchmark one for all its runs. Owns the surveys' scratch until dispose().
 */
export class Surveys {
  readonly #curves = new Map<string, Made<Survey>>();
  readonly #columns = new Map<string, Made<SiteStatistics[]>>();
  /** Seconds spent on making surveys so far. */
  seconds = 0;

  /** Error curves, and Fisher metrics where the layer weights ask for them. */
  curves(input: SurveyInput): Promise<Made<Survey>> {
    return this.#once(this.#curves, curvesKey(input), () => surveyCurves(input));
  }

  columns(
    input: SurveyInput,
    needs: ScoreMethod['statistics'],
  ): Promise<Made<SiteStatistics[]>> {
    return this.#once(this.#columns, placesKey(input, needs), () => surveyColumns(input, needs));
  }

  dispose(): void {
    for (const { value } of this.#curves.values()) {
      if (value.metrics) native.release(value.metrics);
    }
    this.#curves.clear();
    this.#columns.clear();
  }

  async #once<T>(
    made: Map<string, Made<T>>,
    key: string,
    make: () => Promise<T>,
  ): Promise<Made<T>> {
    const known = made.get(key);
    if (known) return known;
    const start = performance.now();
    const value = await make();
    const entry = { key, seconds: (performance.now() - start) / 1000, value };
    this.seconds += entry.seconds;
    made.set(key, entry);
    return entry;
  }
}

/** Where statistics are gathered, and on what: weights are rounded to the output's dtype as they are read. */
function placesKey({ session, ids, window, layers }: SurveyInput, needs: string): string {
  const places = layers.map(({ site }) => site);
  const scope = [...new Set(places)].sort().join('+');
  return [needs, `scope ${scope}`, `${ids.length} tokens by ${window}`, session.stored].join(', ');
}

/** Everything that changes the curves: see surveyCurves. */
function curvesKey(input: SurveyInput): string {
  const { layers, settings } = input;
  const { layerWeights, fisherLabels, seed, selection, lambda } = settings;
  const labels = fisherLabels === 'sampled' ? `sampled labels ${seed}` : 'empirical labels';
  const most = [...new Set(layers.map(({ allowed, groups }) => `${allowed.at(-1)}/${groups}`))];
  return [
    `${layerWeights} weights`,
    ...(layerWeights === 'fisher' ? [labels] : []),
    placesKey(input, `${selection} selection`),
    `λ ${lambda}`,
    `at most ${most.join(' ')}`,
  ].join(', ');
}
