import { resolve } from 'node:path';
import { type Named, requireApart } from '../checkpoint/apart';
import { StruPruneError } from '../errors';
import { requireBeside, textsRead } from '../models/decoders/places';
import { type PruneOptions, type Settings, settingsOf } from '../options';
import type { ReportOptions } from '../reports';
import { commandLine } from '../wording';
import { reportFile, writeReport } from './report-file';

export interface PendingReport<Result> {
  path: string;
  write(result: Result): Promise<void>;
}

export interface ReportedRun<Result> {
  /** Whether the output is one. */
  isFolder(settings: Settings): boolean;
  htmlOf(result: Result, about: ReportOptions): Promise<string>;
}

/** The report of a run to come; null where none was asked for. Refuses what could not be written. */
export async function reportOf<Result>(
  model: string,
  options: PruneOptions,
  named: string | true | undefined,
  { isFolder, htmlOf }: ReportedRun<Result>,
): Promise<PendingReport<Result> | null> {
  if (named === undefined) return null;
  const settings = settingsOf(options);
  const file = await reportFile(named, { ...settings, isFolder: isFolder(settings) });
  const read: Named[] = [['the model itself', model], ...textsRead(settings)];
  await requireApart([[`--report ${file.path}`, file.path]], read);
  if (file.folder === null) requireBeside('--report', file.path, settings);
  if (resolve(settings.saveCalibration ?? '') === file.path) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--report and --save-calibration are both ${file.path}`,
      'give one of them another path',
    );
  }
  const date = new Date().toISOString();
  const command = commandLine(process.argv.slice(2), []);
  return {
    path: file.path,
    async write(result) {
      await writeReport(file, await htmlOf(result, { command, date }), settings.force);
    },
  };
}
