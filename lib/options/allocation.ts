/** What an error of a layer is worth, and the rules' own numbers. */
import { readsCurves } from '../allocation';
import { choice, count, positive } from './kinds';
import type { Allocation, Scope } from './method';
import { declare } from './option';

export const LAYER_WEIGHTS = ['fisher', 'probe', 'residual', 'output', 'none'] as const;
export const FISHER_LABELS = ['empirical', 'sampled'] as const;

export type LayerWeights = (typeof LAYER_WEIGHTS)[number];

/** One pair of numbers for all layers of experts weighs none against another. */
const ofTrials = ({ allocation }: { allocation: Allocation }) =>
  readsCurves(allocation) ? null : `with --allocation ${allocation}`;

const ofSurvey = (settings: { allocation: Allocation; scope: Scope }) =>
  settings.scope === 'moe' ? null : ofTrials(settings);

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
