import { commandLine, machineOf, versions } from '../bench/document';
import { withEngine } from '../engine/engine';
import { type PruneOptions, settingsOf } from '../pruning/options';
import type { PruneResult } from '../pruning/result';
import { reportFile, writeReport } from './report-file';

export interface PendingReport {
  path: string;
  write(model: string, result: PruneResult): Promise<void>;
}

/** The report of a run to come; null where none was asked for. Refuses what could not be written. */
export async function reportOf(
  options: PruneOptions,
  named: string | true | undefined,
): Promise<PendingReport | null> {
  if (named === undefined) return null;
  const settings = settingsOf(options);
  const file = await reportFile(named, settings);
  const date = new Date().toISOString();
  return {
    path: file.path,
    async write(model, result) {
      // The charts' library is only loaded when a report is written.
      const { pruneHtml } = await import('../report/prune');
      const origin = {
        date,
        seconds: result.seconds,
        command: commandLine(process.argv.slice(2), []),
        machine: await withEngine({ ...options, device: 'cpu' }, async (engine) => ({
          ...machineOf(engine),
          device: result.device,
        })),
        versions: versions(),
        seed: settings.seed,
        settings,
      };
      const html = pruneHtml({ model, text: settings.eval ?? null, result, origin });
      await writeReport(file, html, settings.force);
    },
  };
}
