/** Sound files of every kind, which the trials damage: a tiny model in both formats, a stopped run's journal, a survey. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSafetensors } from '../../lib/checkpoint/container';
import { exportModel } from '../../lib/export-model';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { CALIBRATION, type Workspace } from '../e2e/models';
import { stopAfter } from '../e2e/stop-after';
import { graphSpecimens } from './graphs';

const WINDOW = 32;

/** Paths. */
export interface Specimens {
  /** A Hugging Face folder with an index. */
  folder: string;
  gguf: string;
  /** Folders of other families, with images, experts and mixers that only run forward among them. */
  families: string[];
  /** Of a run of `runOptions` on `folder`, stopped after its first block. */
  journal: string;
  /** Of the same run. */
  survey: string;
  /** A short text. */
  text: string;
  /** Folders of an ONNX file each. */
  graphs: string[];
}

export const WEIGHTS = 'model-00001-of-00001.safetensors';
export const INDEX = 'model.safetensors.index.json';
const FAMILIES = [
  ...['gemma2', 'gemma3', 'gpt2', 'granite-moe', 'lfm2', 'llama-fp8', 'olmo2', 'opt-post', 'phi3'],
  ...[
    'gpt-neox-serial',
    'gpt-oss-mxfp4',
    'qwen2-moe',
    'qwen3-yarn',
    'qwen3.5',
    'qwen3-next',
    'lfm2-moe',
    'smollm3',
    'starcoder2',
  ],
  ...['gemma3-vision', 'idefics3', 'qwen2.5-vision', 'qwen3-vision', 'qwen3.5-vision'],
];

export const CONFIG = {
  bos_token: '<s>',
  eos_token: { content: '</s>', lstrip: false },
  add_bos_token: true,
  chat_template: [{ name: 'default', template: '{{ x }}' }],
  added_tokens_decoder: { '0': { content: '<s>', special: true } },
  clean_up_tokenization_spaces: true,
  model_max_length: 128,
};

export function runOptions(output: string): PruneOptions {
  return {
    output,
    calibration: CALIBRATION,
    calibrationTokens: 4 * WINDOW,
    tuneTokens: 0,
    surveyTokens: 2 * WINDOW,
    window: WINDOW,
    sparsity: 0.2,
    scope: 'ffn',
    ffnSolver: 'output',
    layerWeights: 'none',
    threads: 1,
  };
}

export async function makeSpecimens(work: Workspace): Promise<Specimens> {
  const folder = work.model('llama2');
  // By this name the file is found through the index alone.
  renameSync(join(folder, 'model.safetensors'), join(folder, WEIGHTS));
  const names = parseSafetensors(join(folder, WEIGHTS)).tensors.map(({ name }) => name);
  const map = Object.fromEntries(names.map((name) => [name, WEIGHTS]));
  writeFileSync(
    join(folder, INDEX),
    JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }),
  );
  const gguf = work.path('model.gguf');
  await exportModel(folder, { output: gguf, format: 'gguf', dtype: 'f16' });
  const survey = work.path('survey.safetensors');
  await prune(folder, { ...runOptions(work.path('out')), saveCalibration: survey });
  const journal = await stopAfter(1, folder, runOptions(work.path('stopped')));
  const text = work.path('text.txt');
  writeFileSync(text, 'The river rises in the hills and runs for 120 miles to the sea.\n');
  const families = FAMILIES.map((name) => work.model(name));
  const graphs = graphSpecimens(work.emptyFolder());
  return { folder, gguf, families, journal, survey, text, graphs };
}
