/** Checkpoints of language models, as the stages see them. */
import { orAbort } from '../../checkpoint/atomic';
import type { ExportPlan } from '../../checkpoint/export';
import type { Session } from '../../engine/session';
import { evaluateIds } from '../../measure/perplexity';
import { withoutSites } from '../../model/groups';
import { blockPath, journalFolder } from '../../pruning/journal/folder';
import type { Structure } from '../../solver/structures/types';
import { budgetOf, planOutput } from '../../spec/planned';
import type { Layer } from '../../spec/widths';
import type { LoadBlock } from '../../tuning/passes';
import type { FrontEnd, Output, Pass, Shrinking, Solving, Tuned } from '../front-end';
import { DenseDecoder } from './dense';
import { lossesWithout } from './depth';
import { withWritten } from './measured';
import { provenance } from './model-card';
import type { Order } from './orders';
import { DecoderPass } from './pass';
import type { DecoderRun, Run } from './run';
import { settingsUsed } from './settings-used';
import type { SolveContext } from './solve';
import { structureOf } from './structure';
import { followPass, LeadingPass, sharesTokens } from './team-pass';
import { type TunedModel, tuneModel } from './tune';
import { openSink, writeTensors } from './write';

export class Decoder extends DenseDecoder implements FrontEnd {
  readonly budget;
  readonly parts: number;
  readonly part = 'block';
  readonly #run: DecoderRun;

  constructor(run: DecoderRun) {
    super(run);
    this.budget = budgetOf(run);
    this.parts = run.source.architecture.blocks.length;
    this.#run = run;
  }

  structureOf(layer: Layer): Structure {
    return structureOf(this.session.architecture, layer);
  }

  shrink(removed: Int32Array): Shrinking {
    return new ShrinkingDecoder(this.#run, removed);
  }

  withoutEach(gone: readonly number[]): Promise<(number | null)[]> {
    return lossesWithout(this.#run, gone);
  }

  /** Mean NLL of the last calibration window. */
  measure(path: string): Promise<number> {
    const { ids, window, states: scratch } = this.#run;
    const last = ids.subarray(ids.length - window);
    return withWritten(this.#run, path, async (session) => {
      const { meanNll } = await evaluateIds(session, last, { window, scratch });
      return meanNll;
    });
  }
}

/** Rank 0's pass over tokens that ranks share, on another rank. */
export async function followSolve(run: Run, removed: Int32Array): Promise<void> {
  const { engine, layers, gather, refit, session } = run;
  const folder = journalFolder(run.settings.output);
  const journal = { blockPath: (index: number) => blockPath(folder, index) };
  const spec = { gather, refit, metrics: null, idle: false };
  const plan = planOutput(run, removed);
  await using pass = await beginPass({ ...run, journal }, plan, removed, spec, true);
  const exact = refit.output === 'exact';
  const { matrices: stored } = session.stored;
  await followPass(pass, { team: engine.team, layers, exact, stored });
}

function beginPass(
  run: Run & Pick<SolveContext, 'journal'>,
  plan: ExportPlan,
  removed: Int32Array,
  spec: Solving,
  shared: boolean,
): Promise<DecoderPass> {
  const { engine, session, layers, journal } = run;
  const gone = layers.filter(({ groups }, at) => removed[at] === groups);
  const architecture = withoutSites(session.architecture, gone);
  const about = { session, layers, journal, spec, plan, architecture };
  return DecoderPass.begin(about, run, shared ? engine.team.handle : null);
}

class ShrinkingDecoder implements Shrinking {
  readonly #run: DecoderRun;
  readonly #plan: ExportPlan;
  readonly #removed: Int32Array;
  #tuned: TunedModel | null = null;

  constructor(run: DecoderRun, removed: Int32Array) {
    this.#run = run;
    this.#plan = planOutput(run, removed);
    this.#removed = removed;
  }

  async begin(spec: Solving): Promise<Pass> {
    const { engine, layers } = this.#run;
    const { team } = engine;
    const shared = this.#run.sharesTokens && sharesTokens(engine, spec);
    const removed = this.#removed;
    if (shared) await team.ask({ task: 'solve', removed } satisfies Order);
    const pass = await beginPass(this.#run, this.#plan, removed, spec, shared);
    return shared ? new LeadingPass(pass, team, layers) : pass;
  }

  async tune(): Promise<Tuned | null> {
    this.#tuned = await tuneModel(this.#run, this.#plan);
    return this.#tuned;
  }

  async write(): Promise<Output> {
    const { session, journal, settings, source, hashes, tokenizer, onProgress } = this.#run;
    const sink = await openSink(this.#plan, settings.output, {
      replace: settings.force,
      work: journal.folder,
      maxShardBytes: settings.maxShardBytes,
      tokenizer,
      provenance: provenance(source, settingsUsed(this.#run), hashes),
    });
    const put = (ends: Session, load?: LoadBlock) =>
      writeTensors(ends, this.#plan, journal, sink, onProgress, load);
    const path = await orAbort(sink, () => (this.#tuned ? this.#tuned.lend(put) : put(session)));
    return { path, commit: (extra) => sink.commit([...extra]), abort: () => sink.abort() };
  }
}
