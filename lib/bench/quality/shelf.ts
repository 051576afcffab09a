import type { Engine } from '../../engine/engine';
import { asStruPruneError, type ErrorCode } from '../../errors';
import { readSurvey, writeSurvey } from '../../pruning/survey-file';
import type { MadeSurvey, SurveyShelf, SurveyUse } from '../../pruning/surveys';
import type { Results } from './results';
import { surveyOf } from './survey';

/** Of a file that is of no use: the survey is made again. */
const NO_USE: readonly ErrorCode[] = ['ERR_NOT_FOUND', 'ERR_CHECKPOINT', 'ERR_ARGUMENT'];

/** Surveys of a benchmark in its folder, so that an interrupted run need not make them again. */
export class BenchShelf implements SurveyShelf {
  readonly #results: Results;
  readonly #engine: Engine;
  readonly #scratch: string;

  constructor(results: Results, engine: Engine, scratch: string) {
    this.#results = results;
    this.#engine = engine;
    this.#scratch = scratch;
  }

  async read({ key, input }: Pick<SurveyUse, 'key' | 'input'>): Promise<MadeSurvey | null> {
    const known = this.#results.surveys.find((survey) => survey.key === key);
    if (!known) return null;
    const { layers } = input.network;
    const path = this.#results.surveyPath(key);
    try {
      const { survey } = await readSurvey(
        path,
        this.#engine,
        layers,
        this.#identity(key),
        this.#scratch,
      );
      return survey && { seconds: known.seconds, value: survey };
    } catch (error) {
      if (NO_USE.includes(asStruPruneError(error).code)) return null;
      throw error;
    }
  }

  async write(use: SurveyUse): Promise<void> {
    await this.#results.addSurvey(surveyOf(use));
    const { key, survey } = use;
    // Fisher metrics are as large as the model: such a survey is made again.
    if (survey?.metrics) return;
    const measured = { columns: null, survey };
    const identity = this.#identity(key);
    await writeSurvey(this.#results.surveyPath(key), measured, identity, {
      replace: true,
    });
  }

  #identity(key: string) {
    return { conditions: this.#results.key, survey: key };
  }
}
