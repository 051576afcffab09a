import { writeBench } from '../../../bench/output';
import type { BenchDocument } from '../../../bench/schema';
import { print, printJson } from '../../output/print';

/** Writes a finished document and shows it: for people, or as JSON alone. */
export async function deliver(
  folder: string,
  name: string,
  document: BenchDocument,
  output: { json: boolean; report: (document: BenchDocument) => string },
): Promise<void> {
  const files = await writeBench(folder, name, document);
  if (output.json) printJson(document);
  else print(`${output.report(document)}\n\n${files.join('\n')}`);
}
