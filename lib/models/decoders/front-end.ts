/** Checkpoints of language models, as the stages see them. */
import { orAbort } from '../../checkpoint/atomic';
import type { ExportPlan } from '../../checkpoint/export';
import type { Session } from '../../engine/session';
import { evaluateIds } from '../../measure/perplexity';
import { withoutSites } from '../../model/groups';
import type { Structure } from '../../solver/structures/types';
import { budgetOf, planOutput } from '../../spec/planned';
import type { Layer } from '../../spec/widths';
import type { LoadBlock } from '../../tuning/passes';
import type { FrontEnd, Output, Pass, Shrinking, Solving, Tuned } from '../front-end';
import { DenseDecoder } from './dense';
import { lossesWithout } from './depth';
import { withWritten } from './measured';
import { provenance } from './model-card';
import { DecoderPass } from './pass';
import type { DecoderRun } from './run';
import { settingsUsed } from './settings-used';
import { structureOf } from './structure';
import { type TunedModel, tuneModel } from './tune';
import { openSink, writeTensors } from './write';

export class Decoder extends DenseDecoder implements FrontEnd {
  readonly budget;
  readonly parts: number;
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

  begin(spec: Solving): Promise<Pass> {
    const { session, layers, journal } = this.#run;
    const gone = layers.filter(({ groups }, at) => this.#removed[at] === groups);
    const architecture = withoutSites(session.architecture, gone);
    const about = { session, layers, journal, spec, plan: this.#plan, architecture };
    return DecoderPass.begin(about, this.#run);
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
