/** Normalizers of tokenizer.json. */
import { replacer, requireBounded } from './replace';
import { type NormalizerStep, stepsOf } from './schema';
import type { TokenizerJson } from './types';

type Normalize = (text: string) => string;

/** The steps as one function. @throws StruPruneError ERR_UNSUPPORTED for steps that would make a text many times as long */
export function normalizerOf(json: TokenizerJson): Normalize {
  const steps = stepsOf(json, 'normalizer') ?? [];
  requireBounded(steps);
  const all = steps.map(one);
  return (text) => all.reduce((normalized, step) => step(normalized), text);
}

function one(step: NormalizerStep): Normalize {
  switch (step.type) {
    case 'Prepend':
      return (text) => (text === '' ? '' : step.prepend + text);
    case 'Replace':
      return replacer(step);
    case 'NFC':
      return (text) => text.normalize('NFC');
  }
}
