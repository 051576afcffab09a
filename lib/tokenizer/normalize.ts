/** Normalizers of tokenizer.json. */
import { regexFor } from './regex';
import { type NormalizerStep, stepsOf, unsupported } from './schema';
import type { TokenizerJson } from './types';

/** Larger growth than any normal form's, and small enough for the memory that a text may take. */
const MOST_GROWTH = 64;

type Normalize = (text: string) => string;

/** The steps as one function. @throws StruPruneError ERR_UNSUPPORTED for steps that would make a text many times as long */
export function normalizerOf(json: TokenizerJson): Normalize {
  const steps = stepsOf(json, 'normalizer') ?? [];
  const growth = steps.reduce((product, step) => product * growthOf(step), 1);
  if (growth > MOST_GROWTH) {
    throw unsupported(`a normalizer that may make a text more than ${MOST_GROWTH} times as long`);
  }
  const all = steps.map(one);
  return (text) => all.reduce((normalized, step) => step(normalized), text);
}

function growthOf(step: NormalizerStep): number {
  if (step.type !== 'Replace') return 1;
  const least = 'String' in step.pattern ? step.pattern.String.length : 1;
  return Math.max(1, step.content.length / least);
}

function one(step: NormalizerStep): Normalize {
  switch (step.type) {
    case 'Prepend':
      return (text) => (text === '' ? '' : step.prepend + text);
    case 'Replace': {
      const regex = regexFor(step.pattern);
      // A function, for in a text `$&` and the like would be expanded.
      return (text) => text.replace(regex, () => step.content);
    }
    case 'NFC':
      return (text) => text.normalize('NFC');
  }
}
