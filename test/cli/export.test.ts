import { join } from 'node:path';
import test from 'ava';
import { runHere } from './here';
import { EVALUATION, scratch, TINY } from './run';

async function perplexity(model: string): Promise<number> {
  const args = ['eval', model, '--text', EVALUATION, '--window', '128', '--max-tokens', '512'];
  const { code, stdout, stderr } = await runHere([...args, '--no-gemm-share', '--json']);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout).perplexity;
}

test('a folder becomes a file and a file a folder: the same perplexity', async (t) => {
  const folder = await scratch(t);
  const [file, back] = [join(folder, 'model.gguf'), join(folder, 'back')];
  const { code, stdout, stderr } = await runHere(['export', TINY, '-o', file, '--dtype', 'f16']);
  t.is(code, 0, stderr);
  t.regex(stdout, /model\.gguf {2}\(f16, [^)]+\)/);
  const again = await runHere(['export', file, '-o', back, '--json']);
  t.is(again.code, 0, again.stderr);
  const { output, format, dtype, kind, notes } = JSON.parse(again.stdout);
  t.deepEqual([output, format, dtype, kind], [back, 'hf', 'f16', 'stock']);
  t.true(Array.isArray(notes));
  const dense = await perplexity(TINY);
  for (const written of [file, back]) t.is(await perplexity(written), dense, written);
});

test('an output that is there is refused, and replaced with --force', async (t) => {
  const file = join(await scratch(t), 'model.gguf');
  const again = (...more: string[]) => runHere(['export', TINY, '-o', file, ...more]);
  t.is((await again()).code, 0);
  const { code, stdout, stderr } = await again();
  t.is(code, 4, stderr);
  t.is(stdout, '');
  t.regex(stderr, /--force/);
  t.is((await again('--force')).code, 0);
});
