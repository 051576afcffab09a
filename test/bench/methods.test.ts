import test from 'ava';
import { inDocument, METHOD_ENTRIES, methodEntries, type OwnMethod } from '../../lib/bench/methods';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { StruPruneError } from '../../lib/errors';
import { type PruneOptions, settingsOf } from '../../lib/options';
import { cutsExperts } from '../../lib/options/method';
import { resolve } from '../../lib/spec';
import { TINY } from '../cli/run';

const given = { output: '-', calibration: '-', sparsity: 0.2 };

test('every entry holds options of prune, and no two are the same run', (t) => {
  const runs = METHOD_ENTRIES.map(({ options }) =>
    JSON.stringify({ ...settingsOf({ ...given, ...options }), given: null }),
  );
  t.is(new Set(runs).size, METHOD_ENTRIES.length);
  t.is(new Set(METHOD_ENTRIES.map(({ id }) => id)).size, METHOD_ENTRIES.length);
});

test('an ablation changes one thing of its base', async (t) => {
  const [dense, experts] = [await openCheckpoint(TINY), await openCheckpoint(`${TINY}-moe`)];
  const inEffect = (options: Partial<PruneOptions>): Record<string, unknown> => {
    const source = cutsExperts(options.scope) ? experts : dense;
    const { settings } = resolve(source, settingsOf({ ...given, ...options }));
    return { ...settings, given: null };
  };
  for (const entry of METHOD_ENTRIES.filter(({ base }) => base !== null)) {
    const base = METHOD_ENTRIES.find(({ id }) => id === entry.base);
    t.truthy(base, entry.id);
    const [before, after] = [inEffect(base!.options), inEffect(entry.options)];
    const changed = Object.keys({ ...before, ...after }).filter(
      (key) => before[key] !== after[key],
    );
    // α and β are the two halves of one feedback, which needs sequential inputs and a refit, as gate and up do; what
    // the Fisher metric alone has asks for it. What tunes takes a part of the mixed text.
    const together = [
      ['alpha', 'beta'],
      ['refit', 'alpha', 'beta', 'ffnSolver'],
      ['sequential', 'alpha', 'beta'],
      ['layerWeights', 'fisherLabels'],
      ['layerWeights', 'selection'],
      ['tuneTokens', 'tuneMix'],
    ].map((keys) => `${keys.toSorted()}`);
    t.true(
      changed.length === 1 || together.includes(`${changed.toSorted()}`),
      `${entry.id}: ${changed}`,
    );
  }
});

test('names of groups stand for their entries, in the order of the table', (t) => {
  const ids = (name: string) => methodEntries([name]).map(({ id }) => id);
  t.deepEqual(ids('experts'), [
    'reap',
    'struprune-experts',
    'experts-without-refit',
    'magnitude-l2-expert-channels',
    'wanda-sp-expert-channels',
    'struprune-expert-channels',
    'expert-channels-without-refit',
    'struprune-moe',
    'struprune-moe-threshold',
  ]);
  t.deepEqual(ids('efforts'), ['struprune-threshold-tuned', 'effort-quick', 'effort-best']);
  t.deepEqual(
    [...ids('all'), ...ids('efforts').slice(1), ...ids('experts')],
    METHOD_ENTRIES.map(({ id }) => id),
  );
  const found = methodEntries(['struprune-threshold', 'baselines', 'magnitude-l2']);
  t.deepEqual(
    found.map(({ id }) => id),
    [
      'magnitude-l2',
      'wanda-sp',
      'flap',
      'flap-uniform',
      'unipruning',
      'fasp',
      'osscar',
      'tyr-local',
      'gisp',
      'sparsellm',
      'struprune-threshold',
    ],
  );
});

test('what is tuned stands beside the same that is not', (t) => {
  const tuned = methodEntries(['tuned']);
  t.deepEqual(
    tuned.map(({ base }) => base),
    ['wanda-sp', 'flap', 'osscar', 'sparsellm', 'struprune-threshold'],
  );
  for (const { base, kind, options } of tuned) {
    const [untuned] = methodEntries([base!]);
    const { tuneTokens, ...rest } = options;
    const { tuneTokens: none = 0, ...same } = untuned!.options;
    t.true(tuneTokens! > 0);
    t.is(none, 0);
    t.deepEqual([untuned!.kind, same], [kind, rest]);
  }
});

test("methods of the caller's own stand behind the table's, by their names", (t) => {
  const mask = { name: 'mine 1', search: () => [1] };
  const mine = { id: 'mine', label: 'Mine', options: { mask } };
  const found = methodEntries([mine, 'flap']);
  t.deepEqual(
    found.map(({ id }) => id),
    ['flap', 'mine'],
  );
  t.is(found[1]!.options.mask, mask);
  t.deepEqual(inDocument(found[1]!).options, { mask: 'own "mine 1"' });
  t.deepEqual(inDocument(found[0]!).options, found[0]!.options);
  const refused = (own: OwnMethod[], message: RegExp) =>
    t.throws(() => methodEntries(own), { instanceOf: StruPruneError, message });
  refused([{ ...mine, id: 'flap' }], /'flap' has an id that is taken/);
  refused([mine, mine], /'mine' has an id that is taken/);
  refused(
    [{ ...mine, options: { sparsity: 0.5 } as object }],
    /sets sparsity, which all rows share/,
  );
  refused([{ ...mine, options: { mask: { search: () => [1] } } }], /a mask without a name/);
});

test('an unknown name is refused', (t) => {
  const error = t.throws(() => methodEntries(['wanda']), { instanceOf: StruPruneError });
  t.is(error.code, 'ERR_ARGUMENT');
  t.regex(error.message, /no method 'wanda'; did you mean wanda-sp\?/);
  t.throws(() => methodEntries(['frobnicate']), { message: /choose from all, baselines, / });
});
