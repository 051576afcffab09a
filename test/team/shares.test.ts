/** Trials that ranks share, without MPI: ranks of one process, each with an engine of its own. */
import { join } from 'node:path';
import test from 'ava';
import { readWindows } from '../../lib/calibration/text';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import { ALONE, type Team } from '../../lib/engine/team';
import type { ModelSource } from '../../lib/model/architecture';
import { DenseDecoder } from '../../lib/models/decoders/dense';
import { settingsOf } from '../../lib/options';
import type { Survey } from '../../lib/pruning/survey-file';
import { resolve } from '../../lib/spec';
import { surveyCurves } from '../../lib/stages/curves';
import { CALIBRATION, workspace } from '../e2e/models';
import { deepModel } from './deep-model';

const work = workspace();
test.after.always(() => work.remove());
const WINDOW = 32;

/** Ranks that gather once, in memory. */
function ranksOf(size: number): Team[] {
  const given: unknown[] = new Array(size);
  let missing = size;
  let complete = () => {};
  const all = new Promise<void>((done) => {
    complete = done;
  });
  return Array.from({ length: size }, (_, rank) => ({
    ...ALONE,
    rank,
    size,
    async gather<T>(value: T) {
      given[rank] = value;
      missing -= 1;
      if (missing === 0) complete();
      await all;
      return given as T[];
    },
  }));
}

class Rank extends Engine {
  readonly #team: Team;

  constructor(team: Team) {
    super({ threads: 1, device: 'cpu' });
    this.#team = team;
  }

  override get team(): Team {
    return this.#team;
  }
}

interface Shared {
  survey: Survey;
  /** Blocks and predictions of its trials, and blocks of the dense pass. */
  steps: number;
}

async function surveyOn(team: Team, source: ModelSource): Promise<Shared> {
  await using engine = new Rank(team);
  return engine.run(undefined, async () => {
    const about = { output: '-', calibration: CALIBRATION, sparsity: 0.2, window: WINDOW };
    const { layers, survey, output } = resolve(source, settingsOf({ ...about, scope: 'all' }));
    const ids = await readWindows(source, CALIBRATION, { window: WINDOW, maxTokens: 4 * WINDOW });
    const session = new Session(engine, source, output.stored);
    let steps = 0;
    const onProgress = () => {
      steps += 1;
    };
    try {
      const network = new DenseDecoder({ session, ids, window: WINDOW, layers, onProgress });
      return { survey: await surveyCurves({ network, survey }), steps };
    } finally {
      session.dispose();
    }
  });
}

test('ranks come to the very survey of one, each by a part of the trials', async (t) => {
  t.timeout(300_000);
  // Five batches: a rank of two has such that do not follow each other.
  const source = await openCheckpoint(deepModel(join(work.emptyFolder(), 'deep'), 3));
  const blocks = source.architecture.blocks.length;
  const alone = await surveyOn(ALONE, source);
  t.true(alone.survey.weights.every((weight) => weight > 0));
  for (const size of [2, 3]) {
    const shared = await Promise.all(ranksOf(size).map((team) => surveyOn(team, source)));
    for (const { survey } of shared) t.deepEqual(survey, alone.survey);
    const trials = shared.map(({ steps }) => steps - blocks);
    t.is(
      trials.reduce((sum, steps) => sum + steps, 0),
      alone.steps - blocks,
    );
    t.true(Math.max(...trials) < (0.7 * alone.steps * 2) / size, trials.join());
  }
});
