/** Damaged safetensors and GGUF files: accepted by Python's readers too, with the same content, or refused here. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type ContainerTensor, parseGguf, parseSafetensors } from '../../lib/checkpoint/container';
import { workspace } from '../e2e/models';
import { makeSpecimens } from '../hostile/specimens';
import { damaged } from '../hostile/trials';

const FROM = 500_000;
const COUNT = 500;
const work = workspace();
test.after.always(() => work.remove());

interface Content {
  tensors: Record<string, [dtype: string, shape: number[], sha256: string]>;
  metadata: Record<string, unknown>;
}

for (const kind of ['safetensors', 'gguf'] as const) {
  test.serial(`${kind}: the content that Python reads, or refused`, async (t) => {
    const specimens = await makeSpecimens(work);
    const root = work.emptyFolder();
    const files = Array.from({ length: COUNT }, (_, i) => {
      const own = join(root, String(i));
      mkdirSync(own);
      return damaged({ kind, seed: FROM + i }, specimens, own);
    });
    const python = spawnSync('python3', [join(__dirname, 'containers.py')], {
      env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES },
      input: files.map(({ file }) => `${file}\n`).join(''),
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    });
    const answers = python.stdout.trim().split('\n');
    t.is(answers.length, COUNT, python.stderr);
    let accepted = 0;
    for (const [i, { file, what }] of files.entries()) {
      const ours = contentOf(file, kind);
      if (ours === null) continue;
      const { error, ...theirs } = JSON.parse(answers[i]!) as Content & { error?: string };
      const about = `seed ${FROM + i}: ${what}`;
      t.is(error, undefined, about);
      t.deepEqual(ours, theirs, about);
      accepted++;
    }
    t.true(accepted > 0);
  });
}

/** null where the file is refused. */
function contentOf(file: string, kind: 'safetensors' | 'gguf'): Content | null {
  try {
    const { tensors, metadata } =
      kind === 'gguf' ? parseGguf(file) : { ...parseSafetensors(file), metadata: {} };
    return {
      tensors: Object.fromEntries(tensors.map((tensor) => [tensor.name, described(file, tensor)])),
      metadata: Object.fromEntries(
        Object.entries(metadata).map(([key, { type, value }]) => [
          key,
          plain(value, type.includes('float')),
        ]),
      ),
    };
  } catch (error) {
    if (['ERR_CHECKPOINT', 'ERR_UNSUPPORTED'].includes((error as { code: string }).code))
      return null;
    throw error;
  }
}

function described(
  file: string,
  { dtype, shape, offset, bytes }: ContainerTensor,
): Content['tensors'][string] {
  const data = readFileSync(file).subarray(offset, offset + bytes);
  return [dtype, shape, createHash('sha256').update(data).digest('hex')];
}

/** As the oracle spells it: of floats only how many there are. */
function plain(value: unknown, floats: boolean): unknown {
  if (ArrayBuffer.isView(value)) return plain(Array.from(value as Int32Array), floats);
  if (Array.isArray(value)) return value.map((item) => plain(item, floats));
  if (floats) return null;
  return typeof value === 'bigint' ? Number(value) : value;
}
