/**
 * A dense survey on the disk: the journal keeps one so that a resumed run need not make it again, and
 * --save-calibration so that another ratio need not.
 */
import { type ArrayPlan, ArraysFile, writeArrays } from '../checkpoint/arrays-file';
import type { AtomicOptions } from '../checkpoint/atomic';
import { parseSafetensors } from '../checkpoint/container';
import type { Engine } from '../engine/engine';
import type { Matrix } from '../engine/matrix';
import { native } from '../engine/native';
import { orDispose } from '../engine/owned';
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import type { SiteStatistics } from '../masks/statistics';
import type { Settings } from '../options';
import { type Layer, widthOf } from '../spec/widths';
import { differenceOf, type Identity } from './journal/identity';

export interface Survey {
  /** Error curves, one a layer. */
  curves: Float64Array[];
  /** w_l of the allocation, one a layer. */
  weights: number[];
  /** A Fisher metric a layer, one below the other, where the solve orders by them too; surveys.ts disposes of it. */
  metrics: Matrix | null;
}

/** What the dense passes of a run gave: column statistics for score methods, error curves for StruPrune. */
export interface Measured {
  columns: SiteStatistics[] | null;
  survey: Survey | null;
}

const KIND = 'struprune survey';

/** Rows of a page of Fisher metrics. */
export const METRIC_PAGE = 256;

/** Bytes of metrics that are in memory at a time, about. */
const PIECE_BYTES = 2 ** 20;

function pieceRows(cols: number): number {
  return Math.max(1, Math.floor(PIECE_BYTES / (4 * cols)));
}

export async function writeSurvey(
  path: string,
  { columns, survey }: Measured,
  identity: Identity,
  options: AtomicOptions,
): Promise<void> {
  const arrays = [...(columns ?? []).flatMap(columnArrays), ...(survey ? curveArrays(survey) : [])];
  if (survey?.metrics) {
    const { metrics } = survey;
    const { rows, cols } = metrics;
    const step = pieceRows(cols);
    const pieces = function* () {
      for (let row = 0; row < rows; row += step) {
        const count = Math.min(step, rows - row);
        const values = metrics.read(row, count);
        yield values;
        native.dropBytes(values);
      }
    };
    arrays.push({ name: 'metrics', dtype: 'F32', shape: [rows, cols], pieces });
  }
  const metadata = { kind: KIND, identity: JSON.stringify(identity) };
  await writeArrays(path, arrays, metadata, options);
}

/**
 * Reads a survey of the same model, text and settings back. The receiver disposes of the metrics.
 * @throws StruPruneError ERR_NOT_FOUND; ERR_CHECKPOINT when the file is damaged or another kind;
 *   ERR_ARGUMENT when it belongs to something else
 */
export async function readSurvey(
  path: string,
  engine: Engine,
  layers: readonly Layer[],
  identity: Identity,
  scratch: string,
): Promise<Measured> {
  const file = await ArraysFile.open(path);
  requireSame(file, identity);
  if (!file.has('weights')) return { columns: await readColumns(file, layers), survey: null };
  const curves: Float64Array[] = [];
  for (const [i, { allowed }] of layers.entries()) {
    curves.push(await file.read(`curve.${i}`, allowed.at(-1)! + 1));
  }
  const weights = [...(await file.read('weights', layers.length))];
  const metrics = file.has('metrics') ? await readMetrics(file, engine, scratch) : null;
  return { columns: null, survey: { curves, weights, metrics } };
}

/** @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_ARGUMENT where it is not a survey of this run */
export async function requireSurvey(path: string, identity: Identity): Promise<void> {
  requireSame(await ArraysFile.open(path), identity);
}

/** Whether a survey may be kept at a path where something is: a run that goes on may have kept its own there. */
export function mayReplace(
  path: string,
  { force, resume }: Pick<Settings, 'force' | 'resume'>,
): boolean {
  return force || (resume && isSurvey(path));
}

function isSurvey(path: string): boolean {
  try {
    return parseSafetensors(path).metadata.kind === KIND;
  } catch {
    return false;
  }
}

function requireSame(file: ArraysFile, identity: Identity): void {
  const { kind, identity: stored } = file.metadata;
  const known = kind === KIND ? identityIn(stored) : null;
  if (known === null) {
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${file.path} is no calibration of this program`,
      'give a file made by --save-calibration',
    );
  }
  const difference = differenceOf(known, identity);
  if (difference === null) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `the calibration ${file.path} belongs to another run: ${difference}`,
    'give the same model, text, machine and settings, or make another with --save-calibration',
  );
}

function identityIn(stored: string | undefined): Identity | null {
  try {
    const value: unknown = JSON.parse(stored ?? '');
    return isObject(value) && Object.values(value).every(isPlain) ? (value as Identity) : null;
  } catch {
    return null;
  }
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

function columnArrays(columns: SiteStatistics, i: number): ArrayPlan[] {
  const { weightNormSq, weightAbsMean, weightShare, second, mean, tokens, order } = columns;
  const arrays = [
    vector(`columns.${i}.weightNormSq`, weightNormSq),
    vector(`columns.${i}.weightAbsMean`, weightAbsMean),
    vector(`columns.${i}.weightShare`, weightShare),
  ];
  if (second && mean) {
    arrays.push(
      vector(`columns.${i}.second`, second),
      vector(`columns.${i}.mean`, mean),
      vector(`columns.${i}.tokens`, Float64Array.of(tokens!)),
    );
  }
  if (order) arrays.push(vector(`columns.${i}.order`, order));
  return arrays;
}

function curveArrays({ curves, weights }: Survey): ArrayPlan[] {
  return [
    vector('weights', Float64Array.from(weights)),
    ...curves.map((curve, i) => vector(`curve.${i}`, curve)),
  ];
}

function vector(name: string, values: Float64Array): ArrayPlan {
  return { name, dtype: 'F64', shape: [values.length], pieces: () => [values] };
}

async function readColumns(file: ArraysFile, layers: readonly Layer[]): Promise<SiteStatistics[]> {
  const columns: SiteStatistics[] = [];
  for (const [i, layer] of layers.entries()) {
    const { groupSize } = layer;
    const read = (name: string, least = widthOf(layer)) => file.read(`columns.${i}.${name}`, least);
    const site: SiteStatistics = {
      groupSize,
      weightNormSq: await read('weightNormSq'),
      weightAbsMean: await read('weightAbsMean'),
      weightShare: await read('weightShare'),
    };
    if (file.has(`columns.${i}.second`)) {
      site.second = await read('second');
      site.mean = await read('mean');
      site.tokens = (await read('tokens', 1))[0];
    }
    if (file.has(`columns.${i}.order`)) site.order = await read('order', layer.groups);
    columns.push(site);
  }
  return columns;
}

async function readMetrics(file: ArraysFile, engine: Engine, scratch: string) {
  const [rows = 0, cols = 0] = file.shape('metrics');
  const metrics = engine.store(scratch).matrix(rows, cols, METRIC_PAGE);
  return orDispose(metrics, async () => {
    for await (const { row, values } of file.rows('metrics', pieceRows(cols))) {
      metrics.write(row, values as Float32Array);
    }
    return metrics;
  });
}
