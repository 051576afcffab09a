import { join } from 'node:path';
import { AtomicFile, orAbort } from '../checkpoint/atomic';
import { csvOf } from './csv';
import { type BenchDocument, benchSchema } from './schema';

/**
 * Writes a document into a folder as `name`.json, and its table as `name`.csv where it has one; files of an
 * earlier run are replaced. Returns the paths. @throws StruPruneError ERR_OUTPUT
 */
export async function writeBench(
  folder: string,
  name: string,
  document: BenchDocument,
): Promise<string[]> {
  const json = `${JSON.stringify(benchSchema.parse(document), null, 1)}\n`;
  const csv = csvOf(document);
  const files: [string, string][] = [[join(folder, `${name}.json`), json]];
  if (csv !== null) files.push([join(folder, `${name}.csv`), csv]);
  for (const [path, text] of files) await writeText(path, text);
  return files.map(([path]) => path);
}

async function writeText(path: string, text: string): Promise<void> {
  const file = await AtomicFile.create(path, { replace: true });
  await orAbort(file, async () => {
    await file.write(new TextEncoder().encode(text));
    await file.commit();
  });
}
