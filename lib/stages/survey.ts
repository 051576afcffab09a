/** What the dense network says before anything goes, where the allocation or the method needs it. */
import { copyFile } from '../checkpoint/atomic';
import { asStruPruneError } from '../errors';
import type { Settings } from '../options';
import {
  type Measured,
  mayReplace,
  readSurvey,
  requireSurvey,
  writeSurvey,
} from '../pruning/survey-file';
import type { Surveys } from '../pruning/surveys';
import { type CurvesInput, surveyCurves } from './curves';
import { surveyExperts } from './expert-curves';
import type { Stage, Work } from './stage';

export const survey: Stage<null, Measured> = {
  name: 'survey',

  async run(work) {
    if (!work.survey.needed) return { columns: null, survey: null };
    return makeSurvey(work, work.surveys);
  },

  artefact: {
    async find(work) {
      const { survey, journal } = work;
      if (!survey.needed) return null;
      const kept = (await journal.hasSurvey()) && (await readKept(work));
      if (kept) return kept;
      if (survey.from === undefined) return null;
      // Kept as a survey of the run's own is: a resumed run goes on with the very same.
      await copyFile(survey.from, journal.surveyPath, { replace: true });
      return adopt(work);
    },

    async keep({ survey, journal, identity }, measured) {
      if (!survey.needed) return;
      const { surveyPath } = journal;
      await writeSurvey(surveyPath, measured, identity, { replace: true });
    },
  },
};

/** Refuses --from-calibration with a survey that is not there or not of this run. */
export async function requireKnownSurvey({ survey, identity }: Work): Promise<void> {
  if (survey.from !== undefined && survey.needed) await requireSurvey(survey.from, identity);
}

/** --save-calibration: the journal's survey, where the user wants it. */
export async function saveSurvey({ journal }: Work, settings: Settings): Promise<void> {
  const { saveCalibration: path } = settings;
  if (path === undefined) return;
  await copyFile(journal.surveyPath, path, { replace: mayReplace(path, settings) });
}

/** The journal's survey; null, with a warning, where it is damaged: what it is made of is still there. */
async function readKept(work: Work): Promise<Measured | null> {
  try {
    return await adopt(work);
  } catch (error) {
    if (asStruPruneError(error).code !== 'ERR_CHECKPOINT') throw error;
    await work.journal.dropSurvey();
    work.warn('the survey in the journal is damaged: it is made again');
    return null;
  }
}

async function adopt({ engine, network, journal, identity, scratch, surveys }: Work) {
  const { layers } = network;
  const read = await readSurvey(journal.surveyPath, engine, layers, identity, scratch);
  if (read.survey) surveys.adopt(read.survey);
  return read;
}

/** Column statistics for losses by scores, or error curves of the survey's own tokens. */
export async function makeSurvey(input: CurvesInput, surveys: Surveys): Promise<Measured> {
  const { curves, experts } = input.survey;
  const make = () => (experts ? surveyExperts(input) : surveyCurves(input));
  return curves === 'sweep'
    ? { columns: null, survey: await surveys.curves(input, make) }
    : { columns: await surveys.columns(input), survey: null };
}
