import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test from 'ava';
import { benchMasks } from '../../lib/bench/masks/run';
import { SEARCHES } from '../../lib/bench/masks/searches';
import { writeBench } from '../../lib/bench/output';
import { benchSchema } from '../../lib/documents/bench';
import { summariseMasks } from '../../lib/documents/mask-summary';

const TINY = join(__dirname, '../../assets/tiny');

test('ways to a mask on the embedded model', async (t) => {
  const document = await benchMasks(TINY, {
    calibrationTokens: 2048,
    window: 128,
    scope: 'all',
    shares: [0.25],
  });
  const { masks } = benchSchema.parse(document);
  const { sites } = masks!;
  t.is(sites.length, 6 * 2);
  for (const { block, site, share, groups, removed, results } of sites) {
    t.is(removed, Math.round(share * groups));
    const error = new Map(results.map(({ search, relativeError }) => [search, relativeError]));
    const where = `block ${block} ${site} ${share}`;
    t.deepEqual(
      [...error.keys()],
      SEARCHES.map(({ id }) => id),
    );
    // Swaps only go where the penalised error falls; what is shown is without the penalty, hence the room.
    for (const start of ['sweep', 'admm', 'one-shot']) {
      t.true(error.get(`${start}-swaps`)! <= error.get(start)! * 1.01, `${where}: ${start}`);
    }
  }
  const summary = summariseMasks(masks!);
  const mean = (search: string) => {
    const found = summary.filter((one) => one.search === search);
    t.is(found.length, 1);
    return found.map(({ ratio }) => ratio);
  };
  t.deepEqual(mean('sweep'), [1]);
  // A score that never saw the other columns is worse on every measure of the field.
  t.true(mean('one-shot').every((ratio) => ratio > 1.02));
  const admm = sites.flatMap(({ results }) => results.flatMap((result) => result.admm ?? []));
  t.true(admm.length > 0 && admm.every(({ history }) => history.length > 0));

  const folder = mkdtempSync(join(tmpdir(), 'struprune-masks-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const files = await writeBench(folder, 'masks', document);
  t.deepEqual(
    files.map((path) => basename(path)),
    ['masks.json', 'masks.csv', 'masks.html'],
  );
  const lines = readFileSync(files[1]!, 'utf8').trimEnd().split('\r\n');
  t.is(lines.length, 1 + sites.length * SEARCHES.length);
});
