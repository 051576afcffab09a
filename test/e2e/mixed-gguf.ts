import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseGguf } from '../../lib/checkpoint/container';
import { GgufWriter } from '../../lib/checkpoint/gguf-writer';
import { exportModel } from '../../lib/export-model';
import type { Dtype } from '../../lib/model/architecture';

/** The small gpt-oss as GGUF with a tokenizer, its experts in MXFP4 as gguf-py wrote them. */
export async function packedGguf(output: string, folder: string): Promise<string> {
  const base = `${output}.base.gguf`;
  await exportModel(folder, { output: base, dtype: 'f32' });
  const other = join(__dirname, '../fixtures/models/gpt-oss-mxfp4/model.gguf');
  return mixedGguf(output, { base, other, names: /exps[.]weight/ });
}

/** A GGUF file like `base`, with those of its tensors whose name matches from `other`, as quantisers of mixed types write. */
export async function mixedGguf(
  output: string,
  { base, other, names }: { base: string; other: string; names: RegExp },
): Promise<string> {
  const [ours, theirs] = [base, other].map((path) => ({
    ...parseGguf(path),
    bytes: readFileSync(path),
  }));
  const taken = ours!.tensors.map(({ name }) => {
    const file = names.test(name) ? theirs! : ours!;
    const tensor = file.tensors.find((one) => one.name === name)!;
    const data = file.bytes.subarray(tensor.offset, tensor.offset + tensor.bytes);
    return { name, dtype: tensor.dtype as Dtype, shape: tensor.shape, data };
  });
  const writer = await GgufWriter.create(output, taken, ours!.metadata, { replace: true });
  for (const { name, data } of taken) await writer.append(name, data);
  await writer.close();
  return output;
}
