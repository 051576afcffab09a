/** The ways to a mask inside one site that `bench masks` sets side by side. */
import { MASK_DEFAULTS, type MaskRecipe } from '../../masks';

export interface Search {
  id: string;
  label: string;
  recipe: MaskRecipe;
}

const SWEEP = MASK_DEFAULTS;
const ONE_SHOT = { ...MASK_DEFAULTS, search: 'wanda-l2' } as const;
const ADMM = { ...MASK_DEFAULTS, search: 'admm' } as const;
/** Until none lowers the error. */
const swaps = Number.POSITIVE_INFINITY;

/** The first one is what the others are measured against. */
export const SEARCHES: readonly Search[] = [
  { id: 'sweep', label: 'sweep', recipe: SWEEP },
  { id: 'one-shot', label: 'one-shot (Wanda)', recipe: ONE_SHOT },
  { id: 'gumbel', label: 'best of drawn ones', recipe: { ...MASK_DEFAULTS, search: 'gumbel' } },
  { id: 'admm', label: 'ADMM', recipe: ADMM },
  { id: 'admm-warm', label: 'ADMM from the sweep', recipe: { ...ADMM, start: 'sweep' } },
  { id: 'one-shot-swaps', label: 'one-shot and swaps', recipe: { ...ONE_SHOT, swaps } },
  { id: 'admm-swaps', label: 'ADMM and swaps', recipe: { ...ADMM, swaps } },
  { id: 'sweep-swaps', label: 'sweep and swaps', recipe: { ...SWEEP, swaps } },
];
