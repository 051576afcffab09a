/** Our modelling code as transformers and PEFT use it, beyond the logits of families.test.ts. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { prune } from '../../lib';
import { CALIBRATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

interface Facts {
  base: number;
  cache: boolean;
  saved: boolean;
  lora: string[];
  losses: number[];
}

for (const [family, adapted] of [
  ['llama3-tied', ['q_proj', 'v_proj']],
  ['qwen3', ['q_proj', 'v_proj']],
  ['opt-pre', ['q_proj', 'v_proj']],
  ['gpt2', ['c_attn']],
] as const) {
  test.serial(`${family}: the base model, the cache, saving, LoRA without names`, async (t) => {
    const { kind, output } = await prune(work.model(family), {
      output: work.path('out'),
      calibration: CALIBRATION,
      calibrationTokens: 960,
      tuneTokens: 0,
      surveyTokens: 480,
      window: 48,
      sparsity: 0.2,
      dtype: 'f32',
      threads: 1,
    });
    t.is(kind, 'own-modeling');
    const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
    const answer = execFileSync('python3', [join(__dirname, 'own_class.py'), output], { env });
    const { base, cache, saved, lora, losses }: Facts = JSON.parse(String(answer));
    t.true(base <= 1e-5, String(base));
    t.true(cache);
    t.true(saved);
    t.deepEqual(lora, adapted);
    t.true(losses.at(-1)! < losses[0]!, losses.join());
  });
}
