import { join } from 'node:path';
import { writeBench } from '../../../bench/output';
import { requireWritable } from '../../../checkpoint/atomic';
import type { BenchDocument } from '../../../documents/bench';
import { print, printJson } from '../../output/print';

interface Delivery {
  folder: string;
  /** Of the files, without their endings. */
  name: string;
  /** JSON alone on stdout, and before the files are written. */
  json: boolean;
  report: (document: BenchDocument) => string;
}

/**
 * Measures, shows the document and writes it. A folder that cannot be written is refused before.
 * @throws StruPruneError ERR_OUTPUT; whatever `measure` throws
 */
export async function deliver(
  { folder, name, json, report }: Delivery,
  measure: () => Promise<BenchDocument>,
): Promise<void> {
  await requireWritable(join(folder, `${name}.json`), { replace: true });
  const document = await measure();
  if (json) printJson(document);
  const files = await writeBench(folder, name, document);
  if (!json) print(`${report(document)}\n\n${files.join('\n')}`);
}
