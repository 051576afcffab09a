/** `prune --report`: where the report goes, and writing it. */
import { join, relative, resolve } from 'node:path';
import { requireWritable, writeText } from '../checkpoint/atomic';
import { addToManifest } from '../checkpoint/manifest';
import { asOutput } from '../checkpoint/output-error';
import { StruPruneError } from '../errors';

export interface ReportFile {
  path: string;
  /** The folder that the run makes, where it lies in that: nothing of it is there before, and all of it is the run's own. */
  folder: string | null;
}

/**
 * Place of the report: the file that was named, else OUT/report.html in a folder and OUT.report.html beside a file. Refused
 * now, since the run takes long: another ending than .html, an existing file without `force`, a place that cannot be written. @throws StruPruneError ERR_ARGUMENT, ERR_OUTPUT
 */
export async function reportFile(
  named: string | true,
  { output, isFolder, force }: { output: string; isFolder: boolean; force: boolean },
): Promise<ReportFile> {
  const path = resolve(named === true ? standardPath(output, isFolder) : named);
  requireHtml('report', path);
  const inOutput = isFolder && isInside(resolve(output), path);
  if (!inOutput) await requireWritable(path, { replace: force });
  return { path, folder: inOutput ? resolve(output) : null };
}

/** @throws StruPruneError ERR_ARGUMENT naming the flag */
export function requireHtml(flag: 'report' | 'output', path: string): void {
  if (/\.html?$/i.test(path)) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `the report ${path} would not be an .html file`,
    `give --${flag} a name that ends with .html`,
  );
}

export async function writeReport({ path, folder }: ReportFile, text: string, force: boolean) {
  await writeText(path, text, { replace: force && folder === null });
  if (folder !== null) await asOutput(path, () => addToManifest(folder, path));
}

function standardPath(output: string, isFolder: boolean): string {
  if (isFolder) return join(output, 'report.html');
  return `${output.replace(/\.(gguf|onnx)$/i, '')}.report.html`;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && !way.startsWith('..') && resolve(folder, way) === path;
}
