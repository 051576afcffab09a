/** What is derived from the declarations, by name. */
import test from 'ava';
import {
  allocationSchema,
  OPTIONS,
  optionsThat,
  settingsOf,
  surveySchema,
} from '../../lib/options';
import { IMAGES } from '../../lib/options/images';
import type { Option } from '../../lib/options/option';

const given = { output: 'out', calibration: 'text', sparsity: 0.2 };
const names = (schema: { shape: object }) => Object.keys(schema.shape).toSorted();

test('a default is what the option takes', (t) => {
  const settings: Record<string, unknown> = settingsOf(given);
  for (const [key, { takes }] of Object.entries<Option>(OPTIONS)) {
    if (settings[key] !== undefined) t.true(takes.schema.safeParse(settings[key]).success, key);
  }
});

test('an option stands under one heading with the others of its part', (t) => {
  const groups = Object.values<Option>(OPTIONS).map(({ group }) => group);
  const changes = groups.filter((group, i) => group !== groups[i - 1]);
  t.is(changes.length, new Set(groups).size, 'headings do not come again');
});

test('calls that take some of the options of prune', (t) => {
  t.deepEqual(names(allocationSchema), [
    ...['allocation', 'apart', 'energyForm', 'sparsity'],
    ...['targetMacs', 'targetParams', 'targetSize', 'temperature'],
  ]);
  t.deepEqual(names(surveySchema), [
    ...['calibration', 'calibrationTokens', 'dtype', 'effort', 'ffnSolver', 'fisherLabels'],
    ...['force', 'format', 'lambda', 'layerWeights', 'maxLayerSparsity', 'method', 'multiple'],
    ...['saveCalibration', 'scope', 'scratch', 'seed', 'selection', 'surveyTokens', 'window'],
  ]);
});

test('a survey is another one by these options, a run by all but those that change no weight', (t) => {
  t.deepEqual(optionsThat(['survey']).toSorted(), [
    ...['fisherLabels', 'format', 'lambda', 'layerWeights', 'maxLayerSparsity', 'method'],
    ...['multiple', 'scope', 'seed', 'selection', 'sequential', 'surveyTokens'],
  ]);
  const effective = optionsThat(['survey', 'run']);
  t.deepEqual(
    Object.keys(OPTIONS)
      .filter((key) => !effective.includes(key))
      .toSorted(),
    [
      ...['calibration', 'calibrationTokens', 'effort', 'eval', 'evalTokens', 'evalWindow'],
      ...[
        'force',
        'fromCalibration',
        ...Object.keys(IMAGES).toSorted(),
        'latency',
        'maskConfidence',
        'maxShardBytes',
        'output',
        'resume',
        'samples',
        'saveCalibration',
      ],
      ...['scratch', 'tuneMix', 'tuneTokens', 'window'],
    ],
  );
});

test('the effort decides what is not given', (t) => {
  const at = (effort: 'quick' | 'balanced' | 'best', more = {}) =>
    settingsOf({ ...given, ...more, effort }).calibrationTokens;
  t.is(at('quick'), 16384);
  t.is(at('balanced'), 65536);
  t.is(at('best'), 65536);
  t.is(at('quick', { calibrationTokens: 7 }), 7);
  t.is(at('quick', { window: 32768 }), 32768, 'a window at least');
  t.is(at('quick', { window: 131072 }), 65536, 'as the others');
});
