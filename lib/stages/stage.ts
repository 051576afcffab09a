/** A run is its stages, one after the other: survey, allocate, solve, tune, write, verify. */
import type { Engine } from '../engine/engine';
import type { StageClock } from '../engine/stage-clock';
import type { FrontEnd } from '../models/front-end';
import type { OnStage, OnWarning } from '../progress';
import type { Identity } from '../pruning/journal/identity';
import type { Journal } from '../pruning/journal/journal';
import type { Surveys } from '../pruning/surveys';
import type { StageSpec } from '../spec';

/** A run at work. */
export interface Work extends StageSpec {
  network: FrontEnd;
  engine: Engine;
  journal: Journal;
  surveys: Surveys;
  /** What the survey depends on. */
  identity: Identity;
  /** Folder for what memory has no room for; '' = all is in memory. */
  scratch: string;
  clock: StageClock;
  onProgress: OnStage | undefined;
  warn: OnWarning;
}

/** What a stage gives, as the journal has it: docs/decisions/0018. */
interface Kept<Artefact> {
  /** The journal's; null where it has none that is of use. */
  find(work: Work): Promise<Artefact | null>;
  keep(work: Work, artefact: Artefact): Promise<void>;
}

export interface Stage<Input, Artefact> {
  name: 'survey' | 'allocate' | 'solve' | 'tune' | 'write' | 'verify';
  run(work: Work, input: Input): Promise<Artefact>;
  /** Left out where a stage is made anew in no time, or keeps what it makes piece by piece. */
  artefact?: Kept<Artefact>;
}

/** What a stage gives: kept from before, or made now and kept. */
export async function take<Input, Artefact>(
  { name, run, artefact }: Stage<Input, Artefact>,
  work: Work,
  input: Input,
): Promise<Artefact> {
  const { clock } = work;
  clock.enter(name);
  try {
    const kept = await artefact?.find(work);
    if (kept) return kept;
    const made = await run(work, input);
    await artefact?.keep(work, made);
    return made;
  } finally {
    clock.enter('rest');
  }
}
