/** What the dense model says before anything goes, where the allocation or the method needs it. */
import { copyFile } from '../checkpoint/atomic';
import { asStruPruneError } from '../errors';
import type { SurveyInput } from '../models/decoders/survey';
import {
  type Measured,
  mayReplace,
  readSurvey,
  requireSurvey,
  writeSurvey,
} from '../models/decoders/survey-file';
import type { Surveys } from '../models/decoders/surveys';
import { surveyIdentity } from '../pruning/journal/identity';
import type { Stage, Work } from './stage';

export const survey: Stage<null, Measured> = {
  name: 'survey',
  identity: surveyIdentity,

  async run(work) {
    const { survey, layers, session, ids, window, onProgress } = work;
    if (!survey.needed) return { columns: null, survey: null };
    const input = { session, ids, window, layers, survey, onProgress, onWarning: work.warn };
    return makeSurvey(input, work.surveys);
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

    async keep(work, measured) {
      const { journal, session } = work;
      if (!work.survey.needed) return;
      const identity = surveyIdentity(work);
      await writeSurvey(journal.surveyPath, session, measured, identity, { replace: true });
    },
  },
};

/** Refuses --from-calibration with a survey that is not there or not of this run. */
export async function requireKnownSurvey(work: Work): Promise<void> {
  const { from, needed } = work.survey;
  if (from !== undefined && needed) await requireSurvey(from, surveyIdentity(work));
}

/** --save-calibration: the journal's survey, where the user wants it. */
export async function saveSurvey({ settings, journal }: Work): Promise<void> {
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

async function adopt(work: Work): Promise<Measured> {
  const { session, layers, journal } = work;
  const identity = surveyIdentity(work);
  const read = await readSurvey(journal.surveyPath, session, layers, identity, session.scratch);
  if (read.survey) work.surveys.adopt(read.survey);
  return read;
}

/** Column statistics for losses by scores, or error curves of the survey's own tokens. */
export async function makeSurvey(input: SurveyInput, surveys: Surveys): Promise<Measured> {
  const { ids, window, survey } = input;
  if (survey.curves !== 'sweep') {
    return { columns: await surveys.columns(input, survey.statistics), survey: null };
  }
  const tokens = Math.max(1, Math.floor(survey.surveyTokens / window)) * window;
  const curves = await surveys.curves({ ...input, ids: ids.subarray(0, tokens) });
  return { columns: null, survey: curves };
}
