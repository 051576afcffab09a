/** What an error of a layer is worth, and the rules' own numbers. */
import { readsCurves } from '../allocation';
import { Own } from '../own';
import { choice, count, countOrNone, positive } from './kinds';
import { type Allocation, cutsExperts, type Scope } from './method';
import { declare } from './option';

export const LAYER_WEIGHTS = ['fisher', 'probe', 'residual', 'output', 'none'] as const;
export const FISHER_LABELS = ['empirical', 'sampled'] as const;

export type LayerWeights = (typeof LAYER_WEIGHTS)[number];

/** One pair of numbers for all layers of experts weighs none against another. */
const ofTrials = ({ allocation }: { allocation: Allocation }) =>
  readsCurves(allocation) ? null : `with --allocation ${allocation}`;

const ofSurvey = (settings: { allocation: Allocation; scope: Scope }) =>
  settings.scope === 'moe' ? null : ofTrials(settings);

const ofProbe = ({ layerWeights }: { layerWeights: LayerWeights }) =>
  layerWeights === 'probe' ? null : `with --layer-weights ${layerWeights}`;

export interface Ruled {
  allocation: Allocation;
  depth?: boolean;
  lowRank?: boolean | undefined;
  structuredConvolutions?: boolean | undefined;
  scope: Scope;
}

const ofRules = (settings: Ruled) => {
  if (settings.allocation instanceof Own) return 'with an allocation of your own';
  if (settings.depth) return 'with --depth';
  if (settings.lowRank) return 'with --low-rank';
  if (settings.structuredConvolutions) return 'with --structured-convolutions';
  return cutsExperts(settings.scope) ? `with --scope ${settings.scope}` : ofTrials(settings);
};

const ofFisher = ({ layerWeights }: { layerWeights: LayerWeights }) =>
  layerWeights === 'fisher' ? null : `with --layer-weights ${layerWeights}`;

const ofEnergy = ({ allocation }: { allocation: Allocation }) =>
  allocation === 'energy' ? null : 'without --allocation energy';

export interface FisherUse {
  selection: string;
  fisherLabels: string;
}

export const ALLOCATION = {
  ...declare(
    { group: 'Allocation', byMethod: true },
    {
      layerWeights: {
        takes: choice(LAYER_WEIGHTS),
        help: 'what an error of a layer is worth',
        otherwise: 'probe; fisher where --selection or --fisher-labels ask for its metric',
        // What only the Fisher metric has asks for it; else docs/decisions/0007.
        derive: ({ selection, fisherLabels }: FisherUse): LayerWeights =>
          selection === 'fisher' || fisherLabels === 'sampled' ? 'fisher' : 'probe',
        changes: 'survey',
        also: ['survey', 'graph'],
        read: [ofTrials],
      },
      fisherLabels: {
        takes: choice(FISHER_LABELS),
        help: "labels of the Fisher metric: the text's, or drawn from the model",
        default: 'empirical',
        changes: 'survey',
        also: ['survey'],
        read: [ofSurvey, ofFisher],
      },
      surveyTokens: {
        takes: count,
        help: 'calibration tokens of the survey before allocation',
        default: 16384,
        changes: 'survey',
        also: ['survey'],
        read: [ofSurvey],
      },
      searchRounds: {
        takes: countOrNone,
        help: 'rounds that search on from the allocation: all layers are pruned at once, and what a little more of each costs then is its price in the next',
        default: 0,
        changes: 'run',
        also: ['graph'],
        read: [ofRules, ofProbe],
      },
    },
  ),
  ...declare(
    { group: 'Allocation' },
    {
      energyForm: {
        takes: choice(['dilute', 'full']),
        help: 'form of the energy allocation',
        default: 'dilute',
        changes: 'run',
        also: ['allocate', 'graph'],
        read: [ofEnergy],
      },
      temperature: {
        takes: positive,
        value: '<t>',
        help: 'of the energy allocation',
        otherwise: 'the one with the least predicted error',
        changes: 'run',
        also: ['allocate', 'graph'],
        read: [ofEnergy],
      },
    },
  ),
};
