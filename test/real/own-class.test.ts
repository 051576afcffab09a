/** Our modelling code as transformers and PEFT use it, beyond the logits of families.test.ts. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { prune } from '../../lib';
import { CALIBRATION, workspace } from '../e2e/models';
import { without } from '../e2e/without';

const work = workspace();
test.after.always(() => work.remove());

interface Facts {
  base: number;
  cache: boolean;
  saved: boolean;
  lora: string[];
  losses: number[];
}

const ATTENTION = ['q_proj', 'v_proj'];
const ROWS: [family: string, gone: string | null, adapted: string[]][] = [
  ['llama3-tied', null, ATTENTION],
  ['qwen3', null, ATTENTION],
  ['opt-pre', null, ATTENTION],
  ['gpt2', null, ['c_attn']],
  ...(['llama2', 'gemma3', 'opt-pre'] as const).map((family): (typeof ROWS)[number] => [
    family,
    '0.attention',
    ATTENTION,
  ]),
  ['gpt2', '0.attention', ['c_attn']],
  ['gpt-neox', '0.attention', ['query_key_value']],
];

let all: Facts[];
test.before(async () => {
  const outputs: string[] = [];
  for (const [family, gone] of ROWS) {
    const { kind, output } = await prune(work.model(family), {
      ...(gone === null ? { sparsity: 0.2 } : without(gone)),
      output: work.path('out'),
      calibration: CALIBRATION,
      calibrationTokens: 960,
      tuneTokens: 0,
      surveyTokens: 480,
      window: 48,
      dtype: 'f32',
      threads: 1,
    });
    if (kind !== 'own-modeling') throw new Error(`${family} is written as ${kind}`);
    outputs.push(output);
  }
  const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
  // One process: torch takes seconds to start.
  const answer = execFileSync('python3', [join(__dirname, 'own_class.py'), ...outputs], { env });
  all = JSON.parse(String(answer));
});

for (const [index, [family, gone, adapted]] of ROWS.entries()) {
  const what = gone === null ? family : `${family} without ${gone}`;
  test.serial(`${what}: the base model, the cache, saving, LoRA without names`, (t) => {
    const { base, cache, saved, lora, losses } = all[index]!;
    t.true(base <= 1e-5, String(base));
    t.true(cache);
    t.true(saved);
    t.deepEqual(lora, adapted);
    t.true(losses.at(-1)! < losses[0]!, losses.join());
  });
}
