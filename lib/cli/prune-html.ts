import { resolve } from 'node:path';
import { type Named, requireApart } from '../checkpoint/apart';
import { isOnnx } from '../checkpoint/output-path';
import { StruPruneError } from '../errors';
import { requireBeside, textsRead } from '../models/decoders/places';
import { type PruneOptions, settingsOf } from '../options';
import type { ReportOptions } from '../reports';
import { commandLine } from '../wording';
import { reportFile, writeReport } from './report-file';

export interface PendingReport<Outcome> {
  path: string;
  write(outcome: Outcome): Promise<void>;
}

/** The report of a run to come; null where none was asked for. Refuses what could not be written. */
export async function reportOf<Outcome>(
  model: string,
  options: PruneOptions,
  named: string | true | undefined,
  htmlOf: (outcome: Outcome, about: ReportOptions) => Promise<string>,
): Promise<PendingReport<Outcome> | null> {
  if (named === undefined) return null;
  const settings = settingsOf(options);
  const isFolder = settings.format === 'hf' && !isOnnx(model);
  const file = await reportFile(named, { ...settings, isFolder });
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
    async write(outcome) {
      await writeReport(file, await htmlOf(outcome, { command, date }), settings.force);
    },
  };
}
