/** From a name of the hub to everything that serves the result, by the commands that a person types. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { CALIBRATION, EVALUATION, run, scratch } from '../cli/run';
import { repoOf, startHub, TINY } from '../hub/helpers';
import {
  llamaLogits,
  ourLogits,
  quantiseByLlama,
  relativeDifference,
  transformersLogits,
} from './prune-oracles';

const TASKS = 'assets/tasks/everyday.jsonl';
const RECOVER = 'examples/recover/recover.py';
const IDS = Array.from({ length: 60 }, (_, i) => (i * 7919) % 1900);

test.serial('name, prune, folder and GGUF, runtimes, tasks, speed, recovery', async (t) => {
  t.timeout(15 * 60 * 1000);
  await startHub(t, { 'owner/tiny': repoOf(TINY) });
  const work = await scratch(t);
  const [folder, file, recovered] = ['small', 'small.gguf', 'recovered'].map((name) =>
    join(work, name),
  ) as [string, string, string];
  /** What a command prints. */
  const said = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(args);
    t.is(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const perplexityOf = async (model: string) =>
    JSON.parse(await said('eval', model, '--text', EVALUATION, '--window', '128', '--json'))
      .perplexity;

  const asked = ['--sparsity', '30%', '--effort', 'quick', '--calibration', CALIBRATION];
  t.regex(await said('prune', 'owner/tiny', '-o', folder, ...asked), /from_pretrained\(".*small"/);
  const llama = process.env.STRUPRUNE_LLAMA!;
  const speed = await said('prune', 'owner/tiny', '-o', file, ...asked, '--speed', llama);
  t.regex(speed, /node-llama-cpp/);
  t.regex(speed, /llama-cli -m .*small\.gguf/);

  const ours = await ourLogits(folder, IDS);
  const { logits } = llamaLogits(file, IDS, { blas: true });
  t.true(relativeDifference(ours, logits) < 2e-3, 'llama.cpp');
  const theirs = transformersLogits({ how: 'own', model: folder, ids: IDS });
  t.deepEqual(theirs.answer.loose, []);
  t.true(relativeDifference(ours, theirs.logits) < 1e-4, 'transformers');

  // K types are llama.cpp's own to make, of widths for each block too.
  const packed = join(work, 'small-q4_k_m.gguf');
  quantiseByLlama(file, packed, 15);
  t.true((await perplexityOf(packed)) < 1.02 * (await perplexityOf(file)));

  const tasks = (model: string) => said('eval', model, '--tasks', TASKS, '--json');
  const scores = JSON.parse(await tasks(folder)).tasks;
  t.deepEqual(JSON.parse(await tasks(file)).tasks, scores);

  const about = ['--text', CALIBRATION, '--eval', EVALUATION, '-o', recovered];
  const sizes = ['--window', '128', '--eval-windows', '8', '--steps', '10'];
  await promisify(execFile)('python3', [RECOVER, folder, TINY, ...about, ...sizes], {
    env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES },
  });
  t.true((await perplexityOf(recovered)) < (await perplexityOf(folder)));
});
