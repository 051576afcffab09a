/** What tuning gained on text that it trained on, and on text that it did not. */
import { percent } from '../numbers';
import type { Divergences, Tuned } from './train';

/** Gains that are so many times as large where it trained are a warning. */
const APART = 2;

/** What the user should know where the two part; null where they do not. */
export function partingOf({ before, after }: Pick<Tuned, 'before' | 'after'>): string | null {
  const gain = (text: keyof Divergences) => 1 - after[text] / before[text];
  const [trained, heldOut] = [gain('trained'), gain('heldOut')];
  if (!(trained > APART * heldOut)) return null;
  return `tuning took ${percent(trained)} off the divergence of windows that it trained on, and ${percent(heldOut)} off that of those held out: it needs more text`;
}
