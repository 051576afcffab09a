import test from 'ava';
import type { LayerStats } from '../../lib/pruning/result';
import { raisedRidge, ridgeWarnings } from '../../lib/pruning/ridge-warning';
import { sampleRun } from '../report/sample';

test('one warning of all sites, with the largest ridge; none where none was raised', (t) => {
  const { layerStats } = sampleRun().result;
  t.deepEqual(ridgeWarnings(layerStats, 0.05), []);
  const raised = layerStats.map(
    (layer, i): LayerStats =>
      i < 2 ? { ...layer, ridgeRaised: 1 + i, lambda: 0.5 * 10 ** i } : layer,
  );
  t.deepEqual(ridgeWarnings(raised, 0.05), [
    `2 of ${layerStats.length} sites: ${raisedRidge(0.05, 5)}`,
  ]);
  t.regex(raisedRidge(0.05, 5), /ridge of 0\.05.*raised to 5.*lambda/);
});
