import type { Architecture, ModelSource } from '../model/architecture';
import { familyNamed } from '../model/families';
import type { Family } from '../model/family';
import type { Rope } from '../model/sublayers';
import type { ExportFormat } from './output-path';

/**
 * The model as an output of the format runs. llama.cpp's converter takes a few models that its graphs compute a little otherwise; a
 * GGUF file holds that other model, so it is what is measured, pruned and written. Notes say what is otherwise.
 */
export function asRun(
  source: ModelSource,
  format: ExportFormat,
): { source: ModelSource; notes: string[] } {
  if (format !== 'gguf' || source.format === 'gguf') return { source, notes: [] };
  const { architecture } = source;
  const changes = [withItsGelu(architecture), withWholeRamps(architecture)].filter(
    (change) => change !== null,
  );
  const changed = changes.map((change) => change.architecture);
  return {
    source: { ...source, architecture: Object.assign({}, architecture, ...changed) },
    notes: changes.map(({ what }) => `llama.cpp runs this model ${what}, and so does this run`),
  };
}

/** What is otherwise of a family's usual models; null: nothing. */
export function runsOtherwise({ hf, gguf }: Family): string | null {
  const { [hf.keys.activation]: activation, rope_parameters: rope } = hf.defaults;
  if (gguf === null) return null;
  if (activation === 'gelu' && gguf.activation === 'gelu_pytorch_tanh') return ITS_GELU;
  const cuts = (rope as { truncate?: boolean } | undefined)?.truncate === false;
  return cuts ? WHOLE_RAMPS : null;
}

const ITS_GELU = 'with GELU by its tanh approximation';
const WHOLE_RAMPS = "with the ends of yarn's ramp rounded to whole pairs";

interface Change {
  architecture: Partial<Architecture>;
  what: string;
}

function withItsGelu({ family, activation }: Architecture): Change | null {
  const its = familyNamed(family).gguf?.activation;
  if (activation !== 'gelu' || its !== 'gelu_pytorch_tanh') return null;
  return { architecture: { activation: its }, what: ITS_GELU };
}

function withWholeRamps({ rope, globalRope }: Architecture): Change | null {
  const ends = [rope, globalRope].some((one) => one?.yarn?.truncate === false);
  if (!ends) return null;
  const whole = (one: Rope | null) =>
    one?.yarn ? { ...one, yarn: { ...one.yarn, truncate: true } } : one;
  return {
    architecture: { rope: whole(rope), globalRope: whole(globalRope) },
    what: WHOLE_RAMPS,
  };
}
