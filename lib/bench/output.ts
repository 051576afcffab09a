import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeText } from '../checkpoint/atomic';
import { type BenchDocument, benchSchema } from '../documents/bench';
import { csvOf } from './csv';

/**
 * Writes a document into a folder as `name`.json, its table as `name`.csv where it has one, and the report
 * `name`.html; files of an earlier run are replaced. Returns the paths. @throws StruPruneError ERR_OUTPUT
 */
export async function writeBench(
  folder: string,
  name: string,
  document: BenchDocument,
): Promise<string[]> {
  const json = `${JSON.stringify(benchSchema.parse(document), null, 1)}\n`;
  const csv = csvOf(document);
  const paths: string[] = [];
  const put = async (extension: string, text: string) => {
    const path = join(folder, `${name}.${extension}`);
    await writeText(path, text, { replace: true });
    paths.push(path);
  };
  await put('json', json);
  if (csv !== null) await put('csv', csv);
  // Last: the numbers are safe whatever becomes of the drawing, whose library is only loaded now.
  const { benchHtml } = await import('../report/bench');
  await put('html', benchHtml(document));
  return paths;
}

/** Removes what writeBench left in a folder as `name`. */
export async function removeBench(folder: string, name: string): Promise<void> {
  for (const extension of ['json', 'csv', 'html']) {
    await rm(join(folder, `${name}.${extension}`), { force: true });
  }
}
