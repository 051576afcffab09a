/** The ways to a mask inside one site that `bench masks` sets side by side. */
import type { MaskOptions } from '../../solver/solve';

export interface Search {
  id: string;
  label: string;
  options: (groups: number) => MaskOptions;
}

const ONE_SHOT = { method: 'wanda' } as const;
const ADMM = { method: 'admm' } as const;

/** The first one is what the others are measured against. */
export const SEARCHES: readonly Search[] = [
  { id: 'sweep', label: 'sweep', options: () => ({ method: 'sweep' }) },
  { id: 'one-shot', label: 'one-shot (Wanda)', options: () => ONE_SHOT },
  { id: 'admm', label: 'ADMM', options: () => ADMM },
  {
    id: 'admm-warm',
    label: 'ADMM from the sweep',
    options: () => ({ ...ADMM, admmStart: 'sweep' }),
  },
  {
    id: 'one-shot-swaps',
    label: 'one-shot and swaps',
    options: (groups) => ({ ...ONE_SHOT, maxSwaps: groups }),
  },
  {
    id: 'admm-swaps',
    label: 'ADMM and swaps',
    options: (groups) => ({ ...ADMM, maxSwaps: groups }),
  },
  {
    id: 'sweep-swaps',
    label: 'sweep and swaps',
    options: (groups) => ({ method: 'sweep', maxSwaps: groups }),
  },
];
