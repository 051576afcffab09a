import { commandLine } from '../bench/document';
import { type PruneOptions, settingsOf } from '../pruning/options';
import type { PruneResult } from '../pruning/result';
import { pruneReport } from '../reports';
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
  const command = commandLine(process.argv.slice(2), []);
  return {
    path: file.path,
    async write(model, result) {
      const html = await pruneReport(model, options, result, { command, date });
      await writeReport(file, html, settings.force);
    },
  };
}
