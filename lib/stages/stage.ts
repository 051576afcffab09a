/** A run is its stages, one after the other: survey, allocate, solve, tune, write, verify. lib/prune.ts strings them. */

import type { Run } from '../models/decoders/run';
import type { Identity, RunFacts } from '../pruning/journal/identity';
import type { Journal } from '../pruning/journal/journal';

/** A run at work. */
export interface Work extends Run {
  journal: Journal;
  /** Of the source's weight files. */
  hashes: readonly { name: string; sha256: string }[];
}

/** What a stage gives, as the journal has it: docs/decisions/0018. */
interface Kept<Artefact> {
  /** The journal's; null where it has none that is of use. */
  find(work: Work): Promise<Artefact | null>;
  keep(work: Work, artefact: Artefact): Promise<void>;
}

export interface Stage<Input, Artefact> {
  name: 'survey' | 'allocate' | 'solve' | 'tune' | 'write' | 'verify';
  /** What the artefact depends on: one that a journal or a file has is this run's where they are equal. */
  identity(facts: RunFacts): Identity;
  run(work: Work, input: Input): Promise<Artefact>;
  /** Left out where a stage is made anew in no time, or keeps what it makes piece by piece. */
  artefact?: Kept<Artefact>;
}

/** What a stage gives: kept from before, or made now and kept. */
export async function take<Input, Artefact>(
  { run, artefact }: Stage<Input, Artefact>,
  work: Work,
  input: Input,
): Promise<Artefact> {
  const kept = await artefact?.find(work);
  if (kept) return kept;
  const made = await run(work, input);
  await artefact?.keep(work, made);
  return made;
}
