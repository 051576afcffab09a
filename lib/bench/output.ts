import { join } from 'node:path';
import { writeText } from '../checkpoint/atomic';
import { csvOf } from './csv';
import { type BenchDocument, benchSchema } from './schema';

/**
 * Writes a document into a folder as `name`.json, its table as `name`.csv where it has one, and the report
 * `name`.html; files of an earlier run are replaced. Returns the paths. @throws StruPruneError ERR_OUTPUT
 */
export async function writeBench(
  folder: string,
  name: string,
  document: BenchDocument,
): Promise<string[]> {
  // The charts' library is only loaded when a report is written.
  const { benchHtml } = await import('../report/bench');
  const json = `${JSON.stringify(benchSchema.parse(document), null, 1)}\n`;
  const csv = csvOf(document);
  const files: [string, string][] = [[join(folder, `${name}.json`), json]];
  if (csv !== null) files.push([join(folder, `${name}.csv`), csv]);
  files.push([join(folder, `${name}.html`), benchHtml(document)]);
  for (const [path, text] of files) await writeText(path, text, { replace: true });
  return files.map(([path]) => path);
}
