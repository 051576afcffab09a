import { asStruPruneError, type ErrorCode } from '../../errors';
import { readSurvey, writeSurvey } from '../../models/decoders/survey-file';
import type { MadeSurvey, SurveyShelf, SurveyUse } from '../../models/decoders/surveys';
import type { Results } from './results';
import { surveyOf } from './survey';

/** Of a file that is of no use: the survey is made again. */
const NO_USE: readonly ErrorCode[] = ['ERR_NOT_FOUND', 'ERR_CHECKPOINT', 'ERR_ARGUMENT'];

/** Surveys of a benchmark in its folder, so that an interrupted run need not make them again. */
export class BenchShelf implements SurveyShelf {
  readonly #results: Results;
  readonly #scratch: string;

  constructor(results: Results, scratch: string) {
    this.#results = results;
    this.#scratch = scratch;
  }

  async read({ key, input }: Pick<SurveyUse, 'key' | 'input'>): Promise<MadeSurvey | null> {
    const known = this.#results.surveys.find((survey) => survey.key === key);
    if (!known) return null;
    const { session, layers } = input;
    const path = this.#results.surveyPath(key);
    try {
      const { survey } = await readSurvey(
        path,
        session,
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
    const { key, input, survey } = use;
    // Fisher metrics are as large as the model: such a survey is made again.
    if (survey?.metrics) return;
    const measured = { columns: null, survey };
    const identity = this.#identity(key);
    await writeSurvey(this.#results.surveyPath(key), input.session, measured, identity, {
      replace: true,
    });
  }

  #identity(key: string) {
    return { conditions: this.#results.key, survey: key };
  }
}
