/** The stages know no language model: they prune a network of plain arrays, and an oracle of its own says to what. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { orAbort } from '../../lib/checkpoint/atomic';
import { Engine } from '../../lib/engine/engine';
import { StageClock } from '../../lib/engine/stage-clock';
import { MASK_DEFAULTS } from '../../lib/masks';
import { Journal, type SearchPoint } from '../../lib/pruning/journal/journal';
import type { MaskConfidence, SearchReport } from '../../lib/pruning/result';
import { Surveys } from '../../lib/pruning/surveys';
import { allocate } from '../../lib/stages/allocate';
import { confidenceOf } from '../../lib/stages/confidence';
import { solve } from '../../lib/stages/solve';
import { take, type Work } from '../../lib/stages/stage';
import { survey } from '../../lib/stages/survey';
import { verify } from '../../lib/stages/verify';
import { write } from '../../lib/stages/write';
import { cut, inputsOf, type Mlp, outputsOf, PlainNetwork, relativeLoss } from './mlp';

const LAMBDA = 0.05;
const WIDTHS = [6, 9, 8, 4];
const ROWS = 200;

/** Numbers in [-1, 1), the same on every machine; of floats, as weights are. */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  };
}

const draw = drawn(7);
const matrix = (rows: number, cols: number) =>
  Array.from({ length: rows }, () => Array.from({ length: cols }, draw));
const MLP: Mlp = WIDTHS.slice(1).map((out, i) => ({
  weight: matrix(out, WIDTHS[i]!),
  bias: matrix(1, out)[0]!,
}));
const INPUTS = matrix(ROWS, WIDTHS[0]!);

interface Pruned {
  mlp: Mlp;
  keeps: Int32Array[];
  removed: Int32Array;
  curves: Float64Array[];
  weights: number[];
  verification: { expected: number; actual: number };
  network: PlainNetwork;
  points: SearchPoint[];
  search: SearchReport | null;
  sure: MaskConfidence | null;
}

/** survey → allocate → solve → write → verify, as lib/prune.ts strings them. */
async function pruned(
  output: string,
  {
    remove,
    resume = false,
    fails,
    search = 0,
    confidence = false,
  }: {
    remove: number;
    resume?: boolean;
    fails?: number;
    search?: number;
    confidence?: boolean;
  },
): Promise<Pruned> {
  await using engine = new Engine({ threads: 1, device: 'cpu' });
  const journal = await Journal.open(output, 'file', { resume, replace: false });
  try {
    const identity = { network: 'plain', remove };
    await journal.begin(identity);
    const network = new PlainNetwork({ mlp: MLP, inputs: INPUTS, remove, journal, output, fails });
    const work: Work = {
      ...{ network, engine, journal, surveys: new Surveys(), scratch: '' },
      identity,
      clock: new StageClock(engine.team),
      survey: {
        ...{ curves: 'sweep', statistics: 'gram', layerWeights: 'probe', selection: 'plain' },
        ...{ lambda: LAMBDA, surveyTokens: ROWS, fisherLabels: 'empirical', seed: 0 },
        ...{ needed: true, experts: false, from: undefined },
      },
      allocation: { rule: 'threshold' },
      depth: false,
      search,
      confidence,
      gather: { statistics: 'gram', inputs: 'sequential' },
      mask: MASK_DEFAULTS,
      refit: {
        ...{ output: 'exact', bias: 'keep', inputs: { by: 'none' }, lambda: LAMBDA },
        ...{ alpha: 0, beta: 0 },
      },
      onProgress: undefined,
      warn: () => {},
    };
    const decision = await take(allocate, work, await take(survey, work, null));
    const points = await journal.search();
    const sure = await confidenceOf(work, decision.allocation.removed);
    const { keeps, expected } = await take(solve, work, decision);
    const written = await take(write, work, decision.shrinking);
    const { path } = written;
    const verification = await orAbort(written, () => take(verify, work, { path, expected }));
    await written.commit([]);
    await journal.remove();
    return {
      mlp: JSON.parse(readFileSync(output, 'utf8')),
      keeps: keeps.map(({ ffn }) => ffn!),
      removed: decision.allocation.removed,
      ...decision.survey!,
      ...{ verification, network, points, search: decision.search, sure },
    };
  } catch (error) {
    throw await journal.leave(error);
  }
}

function folderOf(t: { teardown(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-plain-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Least squares by Gaussian elimination: `[out, kept]` of the map behind the units, H with its ridge (method.md). */
function oracle(mlp: Mlp, map: number, inputs = INPUTS) {
  const x = inputsOf(mlp, inputs, map + 1);
  const { weight } = mlp[map + 1]!;
  const units = weight[0]!.length;
  const gram = weight[0]!.map((_, i) =>
    weight[0]!.map((__, j) => x.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
  );
  const mean = gram.reduce((sum, row, i) => sum + row[i]!, 0) / units;
  const ridged = gram.map((row, i) =>
    row.map((value, j) => (i === j ? value * (1 + LAMBDA) + 1e-6 * mean : value)),
  );
  const refit = (kept: readonly number[]) => {
    const left = kept.map((i) => kept.map((j) => ridged[i]![j]!));
    return weight.map((row) =>
      solved(
        left,
        kept.map((i) => row.reduce((sum, w, j) => sum + w * ridged[j]![i]!, 0)),
      ),
    );
  };
  const error = (h: number[][], kept: readonly number[]) =>
    refit(kept).reduce((sum, row, o) => {
      const gap = weight[o]!.map((w, j) => w - (row[kept.indexOf(j)] ?? 0));
      return (
        sum + gap.reduce((a, g, i) => a + g * gap.reduce((b, f, j) => b + h[i]![j]! * f, 0), 0)
      );
    }, 0);
  /** The units that are left after so many removals, one after the other, each the one that costs least. */
  const after = (removals: number) => {
    let kept = [...weight[0]!.keys()];
    for (let k = 0; k < removals; k++) {
      const without = kept.map((unit) => kept.filter((other) => other !== unit));
      kept = without.reduce((a, b) => (error(ridged, b) < error(ridged, a) ? b : a));
    }
    return kept;
  };
  return { refit, after, error: (kept: readonly number[]) => error(gram, kept) };
}

function solved(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    const pivot = rows
      .slice(i)
      .reduce((best, row) => (Math.abs(row[i]!) > Math.abs(best[i]!) ? row : best));
    rows.splice(rows.indexOf(pivot), 1, rows[i]!);
    rows[i] = pivot;
    for (let k = 0; k < n; k++) {
      if (k === i) continue;
      const factor = rows[k]![i]! / pivot[i]!;
      rows[k] = rows[k]!.map((value, j) => value - factor * pivot[j]!);
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}

function near(a: number, b: number, share: number): boolean {
  return Math.abs(a - b) <= share * Math.max(Math.abs(a), Math.abs(b), 1e-9);
}

test('error curves, and what a layer costs the network by trial, are those of exact least squares', async (t) => {
  const { curves, weights } = await pruned(join(folderOf(t), 'out.json'), { remove: 60 });
  for (const [map, curve] of curves.entries()) {
    const { after, error, refit } = oracle(MLP, map);
    for (const [k, value] of curve.entries())
      t.true(near(value, error(after(k)), 1e-6), `${map}, ${k}: ${value}`);
    // A quarter of the units; more, where these cost next to nothing (docs/method.md, section 5).
    const costs = (k: number) => k >= WIDTHS[map + 1]! / 4 && curve[k]! >= 1e-3 * curve.at(-1)!;
    const kept = after([...curve.keys()].find(costs)!);
    const tried = cut(MLP, map, kept, refit(kept));
    const loss = relativeLoss(outputsOf(tried, INPUTS), outputsOf(MLP, INPUTS));
    t.true(
      near(weights[map]!, loss / error(kept), 1e-4),
      `${map}: ${weights[map]}, ${loss / error(kept)}`,
    );
  }
});

test('what is written is the best split of the budget, solved layer after layer', async (t) => {
  for (const remove of [40, 60, 80]) {
    const output = join(folderOf(t), 'out.json');
    const { mlp, keeps, removed, curves, weights, verification } = await pruned(output, { remove });
    const costs = [WIDTHS[0]! + WIDTHS[2]!, WIDTHS[1]! + WIDTHS[3]!];
    const loss = (counts: ArrayLike<number>) =>
      curves.reduce((sum, curve, l) => sum + weights[l]! * curve[counts[l]!]!, 0);
    const freed = (counts: ArrayLike<number>) =>
      costs.reduce((sum, cost, l) => sum + cost * counts[l]!, 0);
    t.true(freed(removed) >= remove);
    const rivals = [...curves[0]!.keys()].flatMap((a) => [...curves[1]!.keys()].map((b) => [a, b]));
    const better = rivals.filter(
      (counts) => freed(counts) >= freed(removed) && loss(counts) < loss(removed),
    );
    t.deepEqual(better, [], `${remove}: ${removed}`);

    let expected = MLP;
    for (const [map, kept] of keeps.entries()) {
      const { after, refit } = oracle(expected, map);
      t.deepEqual([...kept], after(removed[map]!), `${remove}, map ${map}`);
      expected = cut(expected, map, kept, refit([...kept]));
    }
    for (const [map, { weight, bias }] of expected.entries()) {
      t.deepEqual(mlp[map]!.bias, bias);
      for (const [o, row] of weight.entries()) {
        for (const [i, value] of row.entries()) {
          t.true(near(mlp[map]!.weight[o]![i]!, value, 1e-4), `${remove}: ${map}, ${o}, ${i}`);
        }
      }
    }
    t.is(verification.actual, verification.expected);
    t.true(
      near(
        verification.actual,
        relativeLoss(outputsOf(expected, INPUTS), outputsOf(MLP, INPUTS)),
        1e-4,
      ),
    );
  }
});

/** What is lost with so many units less in both layers, each refitted on its own dense inputs. */
function lossAtOnce(removed: readonly number[]): number {
  const joint = removed.reduce((mlp, count, map) => {
    const { after, refit } = oracle(MLP, map);
    const kept = after(count);
    return count === 0 ? mlp : cut(mlp, map, kept, refit(kept));
  }, MLP);
  return relativeLoss(outputsOf(joint, INPUTS), outputsOf(MLP, INPUTS));
}

test('a search measures all layers pruned at once, and prices a step of each there', async (t) => {
  const remove = 60;
  const plain = await pruned(join(folderOf(t), 'plain.json'), { remove });
  const found = await pruned(join(folderOf(t), 'out.json'), { remove, search: 3 });
  const { points, curves, network } = found;
  t.is(network.joints, 4);
  t.deepEqual(points[0]!.removed, [...plain.removed]);
  let best = { ...points[0]!, weights: plain.weights };
  let share = 0.5;
  for (const [round, point] of points.entries()) {
    const { removed, loss, prices } = point;
    t.true(near(loss, lossAtOnce(removed), 1e-4), `round ${round}: ${loss}`);
    const { weights: from, prices: to } = best;
    const weights = round === 0 ? from : from.map((w, l) => w ** (1 - share) * to![l]! ** share);
    if (round > 0 && loss < best.loss) best = { ...point, weights };
    else if (round > 0) share /= 2;
    if (round === 3) {
      t.is(prices, null);
      continue;
    }
    const times = removed.map((count, l) => {
      const step = count < curves[l]!.length - 1 ? count + 1 : count - 1;
      const more = lossAtOnce(removed.with(l, step)) - lossAtOnce(removed);
      return more / (curves[l]![step]! - curves[l]![count]!) / plain.weights[l]!;
    });
    const scale = Math.max(...times); // the upper median of two
    for (const [l, price] of prices!.entries()) {
      const expected = plain.weights[l]! * Math.max(1 / 4, times[l]! / scale);
      t.true(near(price, expected, 1e-3), `round ${round}, ${l}: ${price}, ${expected}`);
    }
  }
  t.deepEqual([...found.removed], best.removed);
  t.deepEqual(found.weights, best.weights);
  t.deepEqual(found.search, { rounds: 3, before: points[0]!.loss, after: best.loss });
});

test('masks of halves are compared at the widths that were decided', async (t) => {
  t.is((await pruned(join(folderOf(t), 'plain.json'), { remove: 80 })).sure, null);
  const overlaps: number[] = [];
  for (const remove of [20, 40, 60, 80, 100]) {
    const output = join(folderOf(t), 'out.json');
    const { removed, sure } = await pruned(output, { remove, confidence: true });
    let kept = 0;
    let both = 0;
    for (const [map, count] of removed.entries()) {
      const units = WIDTHS[map + 1]!;
      const found = sure!.sites.find(({ index }) => index === map);
      if (count === 0) {
        t.is(found, undefined, 'nothing of it goes');
        continue;
      }
      const [a, b] = [0, 1].map((half) => {
        const rows = INPUTS.filter((_, row) => row % 2 === half);
        return oracle(MLP, map, rows).after(count);
      });
      const same = a!.filter((unit) => b!.includes(unit)).length;
      const { site, overlap, chance, entropy } = found!;
      t.deepEqual(
        [site, overlap, chance, entropy],
        [
          'ffn',
          same / (units - count),
          (units - count) / units,
          (2 * (units - count - same)) / units,
        ],
      );
      kept += units - count;
      both += same;
    }
    t.true(near(sure!.overlap, both / kept, 1e-12));
    overlaps.push(sure!.overlap);
  }
  t.true(Math.min(...overlaps) < 1, 'else nothing was compared');
});

test('rounds that the journal has are not searched again', async (t) => {
  const folder = folderOf(t);
  const [whole, stopped] = [join(folder, 'whole.json'), join(folder, 'stopped.json')];
  await pruned(whole, { remove: 60, search: 2 });
  const failing = pruned(stopped, { remove: 60, search: 2, fails: 0 });
  await t.throwsAsync(failing, { message: 'the power went' });
  const { network } = await pruned(stopped, { remove: 60, search: 2, resume: true });
  t.is(network.joints, 0);
  t.deepEqual(readFileSync(stopped), readFileSync(whole));
});

test('a run that stopped goes on from its journal to the same bytes', async (t) => {
  const folder = folderOf(t);
  const [whole, stopped] = [join(folder, 'whole.json'), join(folder, 'stopped.json')];
  await pruned(whole, { remove: 60 });
  await t.throwsAsync(pruned(stopped, { remove: 60, fails: 1 }), { message: 'the power went' });
  t.false(existsSync(stopped));
  const { network } = await pruned(stopped, { remove: 60, resume: true });
  t.deepEqual([network.replayed, network.solved], [[0], [1]]);
  t.deepEqual(readFileSync(stopped), readFileSync(whole));
});
