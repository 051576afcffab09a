import { commandLine } from '../bench/document';
import { type Named, requireApart } from '../checkpoint/apart';
import { type PruneOptions, settingsOf } from '../pruning/options';
import { textsRead } from '../pruning/places';
import type { PruneResult } from '../pruning/result';
import { pruneReport } from '../reports';
import { reportFile, writeReport } from './report-file';

export interface PendingReport {
  path: string;
  write(result: PruneResult): Promise<void>;
}

/** The report of a run to come; null where none was asked for. Refuses what could not be written. */
export async function reportOf(
  model: string,
  options: PruneOptions,
  named: string | true | undefined,
): Promise<PendingReport | null> {
  if (named === undefined) return null;
  const settings = settingsOf(options);
  const file = await reportFile(named, settings);
  const read: Named[] = [['the model itself', model], ...textsRead(settings)];
  await requireApart([[`--report ${file.path}`, file.path]], read);
  const date = new Date().toISOString();
  const command = commandLine(process.argv.slice(2), []);
  return {
    path: file.path,
    async write(result) {
      const html = await pruneReport(model, options, result, { command, date });
      await writeReport(file, html, settings.force);
    },
  };
}
