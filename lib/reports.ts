/** Finished runs as self-contained HTML pages. The charts' library is only loaded when one is written. */
import { z } from 'zod';
import { machineOf, versions } from './bench/document';
import { requireOneOfEach } from './bench/join';
import { parse } from './check';
import { type BenchDocument, type BenchSpeed, benchSchema } from './documents/bench';
import { CALL_KEYS, checkedOptions, withEngine } from './engine/call';
import { MACHINE_KEYS } from './engine/engine-options';
import { StruPruneError } from './errors';
import type { GraphResult } from './models/graphs/run/result';
import type { GraphOptions, PruneOptions } from './options';
import { FEEDS } from './options/feeds';
import type { PruneResult } from './pruning/result';
import type { Origin } from './report/sections/origin';

export interface ReportOptions {
  /** What makes the run again, for the reader. Default: the call of prune(). */
  command?: string;
  /** When the run began, as an ISO date. Default: its seconds before now. */
  date?: string;
}

const reportSchema = z.strictObject({
  command: z.string().optional(),
  date: z.string().optional(),
});
const pruneReportSchema = reportSchema.extend({ speed: benchSchema.shape.speed });

/** Of a run of prune(). */
export interface PruneReportOptions extends ReportOptions {
  /** How fast it became: `speed` of benchSpeed()'s document. Default: the report has nothing of it. */
  speed?: BenchSpeed;
}

/** The report of a run of prune(): `model` and `options` as prune() got them. */
export async function pruneReport(
  model: string,
  options: PruneOptions,
  result: PruneResult,
  about: PruneReportOptions = {},
): Promise<string> {
  if (typeof model !== 'string' || !isResult(result)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'a report is made of a model, options and a result',
      'call pruneReport(model, options, result) with the path and options that prune() got and what it returned',
    );
  }
  const { speed = null, ...rest } = parse(pruneReportSchema, about);
  const origin = await originOf('prune', model, options, { ...result, about: rest });
  const { pruneHtml } = await import('./report/prune');
  return pruneHtml({ model, result, speed, origin });
}

/** The report of a run of pruneGraph(): `model` and `options` as pruneGraph() got them. */
export async function graphReport(
  model: string,
  options: GraphOptions,
  result: GraphResult,
  about: ReportOptions = {},
): Promise<string> {
  const facts = { ...result, device: 'cpu', about: parse(reportSchema, about) };
  const origin = await originOf('pruneGraph', model, options, facts);
  const { graphHtml } = await import('./report/graph');
  return graphHtml({ model, result, origin });
}

interface Facts extends Pick<PruneResult, 'settings' | 'seconds' | 'device'> {
  about: ReportOptions;
}

async function originOf(
  call: string,
  model: string,
  options: PruneOptions | GraphOptions,
  { settings, seconds, device, about }: Facts,
): Promise<Origin> {
  // The run is over: its signal may have fired since, its engine be gone.
  const { signal, engine, ...rest } = checkedOptions(options);
  const asked =
    engine && !engine.disposed
      ? { engine }
      : { ...rest, ...engine?.settings, device: 'cpu' as const, deviceMemory: undefined };
  const machine = await withEngine(asked, async (one) => machineOf(one));
  return {
    date: about.date ?? new Date(Date.now() - 1000 * seconds).toISOString(),
    seconds,
    command: about.command ?? callOf(call, model, options),
    machine: { ...machine, device },
    versions: versions(),
    seed: Number(settings.seed),
    settings,
  };
}

function isResult(result: PruneResult): boolean {
  const { layers, layerStats, seconds, settings } = Object(result) as Partial<PruneResult>;
  const lists = [layers, layerStats].every(Array.isArray);
  return lists && Number.isFinite(seconds) && typeof settings === 'object' && settings !== null;
}

function callOf(call: string, model: string, options: PruneOptions | GraphOptions): string {
  const machine: readonly string[] = MACHINE_KEYS;
  const given = Object.entries(options).filter(
    ([key]) => machine.includes(key) || !CALL_KEYS.includes(key),
  );
  const shown = given.map(([key, value]) => [key, key in FEEDS ? '…' : value]);
  return `await ${call}(${JSON.stringify(model)}, ${JSON.stringify(Object.fromEntries(shown), null, 2)})`;
}

/** The report of a benchmark, or one of several, of which each section is in one. */
export async function benchReport(
  documents: BenchDocument | readonly BenchDocument[],
): Promise<string> {
  const all = [documents].flat();
  if (all.length === 0 || !all.every((document) => benchSchema.safeParse(document).success)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'the first argument is no document of a benchmark of this version',
      'give what benchQuality() or another one returned, or its JSON, parsed; or a list of such',
    );
  }
  requireOneOfEach(all);
  const { benchHtml } = await import('./report/bench');
  return benchHtml(...all);
}
