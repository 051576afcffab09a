/** What ranks would make of a run, from how long its stages take on one process: docs/scale-out.md. */
import { join } from 'node:path';
import type { BenchDocument, BenchScale } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { withBytes } from '../../engine/engine';
import type { ModelSource } from '../../model/architecture';
import { planRun, type StagePlan } from '../../models/decoders/plan';
import { stageSeconds } from '../../models/decoders/stage-seconds';
import { planTeam, type TeamPlan } from '../../models/decoders/team-plan';
import { settingsOf } from '../../options';
import { inputOf } from '../../plan';
import { pruneOn } from '../../prune';
import { Surveys } from '../../pruning/surveys';
import { sourceOf } from '../../source';
import { resolve } from '../../spec';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import { withScratch } from '../scratch';
import { type ScaleOptions, scaleSettings } from './options';

type Row = BenchScale['rows'][number];

/** Those that ranks share. */
const SHARED = ['survey', 'solve'] as const;

/**
 * Prunes the model once on this process, and plans the same on ranks: a stage takes the share of its measured time that a rank's
 * flops are of all, by the rates of products; sums take their bytes' time on the network.
 * Throws as prune().
 */
export async function benchScale(
  model: string | ModelSource,
  options: ScaleOptions,
): Promise<BenchDocument> {
  const started = performance.now();
  const own = scaleSettings(options);
  const { threads, memory, signal, onProgress } = options;
  return withEngine({ threads, memory, signal, device: 'cpu' }, async (engine) => {
    const source = await sourceOf(model, { signal, onProgress }, engine);
    const { teams, gbit, output: folder, scratch, ...asked } = own;
    const { result, spec } = await withScratch(scratch, async (at) => {
      const settings = settingsOf({ ...asked, output: join(at, 'pruned'), scratch });
      const surveys = new Surveys();
      try {
        const calls = { signal, onProgress: withBytes(engine, onProgress) };
        const shared = { surveys, resumable: false };
        const pruned = await pruneOn(engine, source, settings, calls, shared);
        return { result: pruned, spec: resolve(source, settings) };
      } finally {
        surveys.dispose();
      }
    });
    const [stages] = result.ranks;
    const measured = stages!.map(({ stage, seconds }) => ({ stage, seconds }));
    const input = inputOf(engine, spec);
    const { secondsOf } = await stageSeconds(engine);
    const secondsAs = scaledTo(measured, planRun(input, engine.budget).stages, secondsOf);
    const seconds = measured.reduce((sum, stage) => sum + stage.seconds, 0);
    const shared = SHARED.reduce((sum, name) => sum + secondsIn(measured, name), 0);
    const rows = teams.map((size) => {
      const about = { size, limit: engine.budget, network: gbit };
      return rowOf(planTeam(input, about, secondsAs), seconds - shared, seconds, secondsAs);
    });
    const about = {
      command: commandLine(
        ['bench', 'scale', source.path],
        Object.entries({ ...own, threads, memory }),
      ),
      machine: machineOf(engine),
      seed: 0,
      settings: own,
    };
    const { calibrationTokens } = result;
    const scale = { model: modelOf(source), gbit, calibrationTokens, measured, rows };
    return documentOf(started, about, { scale });
  });
}

type Measured = BenchScale['measured'];

const secondsIn = (measured: Measured, name: string) =>
  measured.find(({ stage }) => stage === name)?.seconds ?? 0;

/** How long a part of a stage takes where the whole took what was measured. */
function scaledTo(
  measured: Measured,
  planned: readonly StagePlan[],
  secondsOf: (stage: StagePlan) => number,
): (stage: StagePlan) => number {
  return (part) => {
    const whole = planned.find(({ stage }) => stage === part.stage);
    const taken = secondsIn(measured, part.stage);
    return whole ? taken * (secondsOf(part) / secondsOf(whole)) : 0;
  };
}

/** `rest`: seconds of what rank 0 does alone; `alone`: of the whole run on one process. */
function rowOf(
  { runs, longest, network, sharesTokens }: TeamPlan,
  rest: number,
  alone: number,
  secondsOf: (stage: StagePlan) => number,
): Row {
  const [survey, solve] = SHARED.map(longest) as [number, number];
  const each: Row['each'] = [];
  for (const [rank, { stages }] of runs.entries()) {
    for (const part of stages) {
      const { stage, sent, flops } = part;
      if (!SHARED.some((name) => name === stage)) continue;
      const seconds = secondsOf(part);
      const waitingSeconds = longest(stage) - seconds + (stage === 'solve' ? network! : 0);
      const all = flops.single + flops.searching + flops.double;
      each.push({ rank, stage, flops: all, seconds, waitingSeconds, sent });
    }
  }
  const seconds = rest + survey + solve + network!;
  return {
    ranks: runs.length,
    sharesTokens,
    survey,
    solve,
    network: network!,
    seconds,
    faster: alone / seconds,
    each,
  };
}
