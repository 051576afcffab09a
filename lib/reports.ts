/** Finished runs as self-contained HTML pages. The charts' library is only loaded when one is written. */
import { machineOf, versions } from './bench/document';
import type { BenchDocument } from './bench/schema';
import { withEngine } from './engine/engine';
import { CALL_KEYS, MACHINE_KEYS } from './engine/engine-options';
import type { PruneOptions } from './pruning/options';
import type { PruneResult } from './pruning/result';

export interface ReportOptions {
  /** What makes the run again, for the reader. Default: the call of prune(). */
  command?: string;
  /** When the run began, as an ISO date. Default: its seconds before now. */
  date?: string;
}

/** The report of a run of prune(): `model` and `options` as prune() got them. */
export async function pruneReport(
  model: string,
  options: PruneOptions,
  result: PruneResult,
  { command, date }: ReportOptions = {},
): Promise<string> {
  const { settings } = result;
  const text = settings.eval === null ? null : String(settings.eval);
  const { pruneHtml } = await import('./report/prune');
  // Where the run's engine is still there, it is asked; else one of the same options, without its device.
  const cpu = options.engine ? options : { ...options, device: 'cpu' };
  const machine = await withEngine(cpu, async (engine) => machineOf(engine));
  const origin = {
    date: date ?? new Date(Date.now() - 1000 * result.seconds).toISOString(),
    seconds: result.seconds,
    command: command ?? callOf(model, options),
    machine: { ...machine, device: result.device },
    versions: versions(),
    seed: Number(settings.seed),
    settings,
  };
  return pruneHtml({ model, text, result, origin });
}

function callOf(model: string, options: PruneOptions): string {
  const machine: readonly string[] = MACHINE_KEYS;
  const given = Object.entries(options).filter(
    ([key]) => machine.includes(key) || !CALL_KEYS.includes(key),
  );
  return `await prune(${JSON.stringify(model)}, ${JSON.stringify(Object.fromEntries(given), null, 2)})`;
}

/** The report of a benchmark. */
export async function benchReport(document: BenchDocument): Promise<string> {
  const { benchHtml } = await import('./report/bench');
  return benchHtml(document);
}
