/** Widths priced by the time that they take: --target-speed (docs/method.md, allocation). */
import { type BenchDocument, type BenchLatency, benchSchema } from '../documents/bench';
import { StruPruneError } from '../errors';
import { parseJsonObject } from '../json-object';
import type { Architecture } from '../model/architecture';
import type { Site } from '../model/sublayers';
import type { Settings } from '../options';
import { readRegular } from '../regular-file';
import type { Layer } from './widths';

/** Times by which a run prices widths. */
export interface Timing {
  of: 'prompt' | 'generation';
  runtime: string;
  /** Nanoseconds a token of the dense model. */
  dense: number;
}

/** Of the slope of a straight line, the least that a width fewer is taken to spare: noise must not make one free. */
const LEAST_SLOPE = 0.1;
/** Of the dense model's time: a narrower width that takes so much longer than a wider one was not timed alone. */
const MOST_NOISE = 0.05;
const NANO = 1e9;

const MEND =
  'make one with `npx struprune-native bench latency MODEL -o DIR` and give DIR/latency.json';

/**
 * The layers with what their widths spare of the time of a token, in nanoseconds; as they are without --target-speed.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND
 */
export function timedLayers(
  architecture: Architecture,
  layers: readonly Layer[],
  settings: Pick<Settings, 'targetSpeed' | 'latency' | 'speedOf' | 'depth' | 'apart'>,
): { layers: readonly Layer[]; timing: Timing | null } {
  const { targetSpeed, latency: path, depth, apart } = settings;
  if (targetSpeed === undefined) return { layers, timing: null };
  if (path === undefined) throw refusal('--target-speed needs the times of widths', MEND);
  if (depth || apart) {
    const [flag, what] = depth ? ['--depth', 'whole sublayers'] : ['--apart', 'two budgets'];
    throw refusal(`--target-speed does not know ${what}`, `leave ${flag} out`);
  }
  const table = readLatency(path);
  requireOf(architecture, table, path);
  const of = settings.speedOf ?? (table.dense.generation === null ? 'prompt' : 'generation');
  const dense = nanoseconds(table.dense[of], path);
  const spared = new Map<Site, Spared>();
  const blocks = architecture.blocks.length;
  const timed = layers.map((layer) => {
    const { site } = layer;
    if (!spared.has(site)) spared.set(site, sparedBy(table, site, of, path));
    return { ...layer, priced: priceOf(layer, spared.get(site)!, blocks) };
  });
  return { layers: timed, timing: { of, runtime: table.runtime, dense } };
}

/** @throws StruPruneError ERR_NOT_FOUND, ERR_ARGUMENT */
function readLatency(path: string): BenchLatency {
  const refused = { code: 'ERR_ARGUMENT', mend: MEND } as const;
  const bytes = readRegular(path, refused);
  if (bytes === null) throw new StruPruneError('ERR_NOT_FOUND', `${path} does not exist`, MEND);
  const parsed = benchSchema.safeParse(parseJsonObject<BenchDocument>(bytes, path, refused));
  if (parsed.data?.latency) return parsed.data.latency;
  throw refusal(`${path} has no times of widths`, MEND);
}

function requireOf(architecture: Architecture, { model }: BenchLatency, path: string): void {
  const shape = [
    ['family', model.family, architecture.family],
    ['blocks', model.blocks, architecture.blocks.length],
    ['width', model.hidden, architecture.hidden],
    ['vocabulary', model.vocab, architecture.vocab],
  ] as const;
  const unlike = shape.find(([, timed, now]) => timed !== now);
  if (!unlike) return;
  const [what, timed, now] = unlike;
  throw refusal(`${path} is of another model: ${what} ${timed}, and here ${now}`, MEND);
}

/** Nanoseconds that every block together spares by units that go, ascending from none. */
type Spared = { gone: number; time: number }[];

/** @throws StruPruneError ERR_ARGUMENT where the table has none of the site, or fewer units were no faster */
function sparedBy(
  { dense, rows, units }: BenchLatency,
  site: Site,
  of: Timing['of'],
  path: string,
): Spared {
  const mine = rows.filter((row) => row.site === site).sort((a, b) => b.units - a.units);
  const whole = units[site];
  if (whole === undefined || mine.length === 0) {
    throw refusal(`${path} has no times of ${site}`, `${MEND}, or choose another --scope`);
  }
  const start = nanoseconds(dense[of], path);
  const measured = mine.map((row) => ({
    gone: whole - row.units,
    time: start - nanoseconds(row[of], path),
  }));
  const { gone, time } = measured.at(-1)!;
  const slower = measured.some(
    (point, i) => point.time < (measured[i - 1]?.time ?? 0) - MOST_NOISE * start,
  );
  if (slower || !(time > 0 && gone > 0)) {
    throw refusal(
      `by ${path} fewer units of ${site} take longer than more (${of})`,
      'time them again on an idle machine, with more --repeats',
    );
  }
  const least = (LEAST_SLOPE * time) / gone;
  const spared: Spared = [{ gone: 0, time: 0 }];
  for (const point of measured) {
    const before = spared.at(-1)!;
    if (!(point.gone > before.gone)) throw refusal(`${path} is damaged: units of ${site}`, MEND);
    const floor = before.time + least * (point.gone - before.gone);
    spared.push({ gone: point.gone, time: Math.max(floor, point.time) });
  }
  return spared;
}

/** A layer's part: by straight lines between the widths that were timed, and on from the last. */
function priceOf({ groups, allowed }: Layer, spared: Spared, blocks: number) {
  const timeOf = (gone: number) => {
    const after = spared.findIndex((point) => point.gone >= gone);
    const to = after === -1 ? spared.length - 1 : Math.max(after, 1);
    const [a, b] = [spared[to - 1]!, spared[to]!];
    return (a.time + ((b.time - a.time) * (gone - a.gone)) / (b.gone - a.gone)) / blocks;
  };
  return { freed: Float64Array.from(allowed, timeOf), whole: timeOf(groups) };
}

function nanoseconds(seconds: number | null, path: string): number {
  if (seconds !== null) return NANO * seconds;
  throw refusal(
    `${path} has no times of generation`,
    'give --speed-of prompt, or time it where node-llama-cpp is installed',
  );
}

function refusal(what: string, mend: string): StruPruneError {
  return new StruPruneError('ERR_ARGUMENT', what, mend);
}
