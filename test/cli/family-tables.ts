/** README's tables of families and of models of text and images, from the rules of the program and what examples there are. */
import { runsOtherwise } from '../../lib/checkpoint/as-llama-runs';
import {
  type ExportKind,
  type ExportTraits,
  exportTable,
  holderOf,
  usualTraits,
} from '../../lib/checkpoint/export-table';
import type { ExportFormat } from '../../lib/checkpoint/output-path';
import { FAMILIES, familyOfModelType } from '../../lib/model/families';
import type { Family } from '../../lib/model/family';
import { WRAPPERS } from '../../lib/model/wrappers';

const EXAMPLES: Record<string, string> = {
  llama: 'Llama 2, Llama 3, SmolLM2, Falcon 3',
  mistral: 'Mistral 7B, Mistral Small 3',
  ministral: 'Ministral 8B (2410)',
  ministral3: 'Ministral 3 3B, 8B, 14B, within 16,384 positions',
  qwen2: 'Qwen2, Qwen2.5',
  qwen3: 'Qwen3 (embedding as head: 0.6B, 1.7B, 4B)',
  'qwen3.5': 'Qwen3.5, dense',
  gemma2: 'Gemma 2 (2B, 9B)',
  gemma3: 'Gemma 3 text models (270M, 1B)',
  olmo2: 'OLMo 2',
  olmo3: 'OLMo 3',
  smollm3: 'SmolLM3',
  granite: 'Granite 3, dense',
  granite4: 'Granite 4 350M, 1B, Micro (dense)',
  'seed-oss': 'Seed-OSS 36B',
  'ernie4.5': 'ERNIE 4.5 0.3B (dense)',
  lfm2: 'LFM2 350M, 700M, 1.2B (dense)',
  phi3: 'Phi-3, Phi-3.5, Phi-4, Phi-4-mini',
  gpt2: 'GPT-2',
  'gpt-neox': 'Pythia, GPT-NeoX-20B, Dolly 2',
  starcoder2: 'StarCoder2',
  opt: 'OPT 125M, OPT 350M',
  mixtral: 'Mixtral 8x7B',
  'qwen2-moe': 'Qwen1.5-MoE, Qwen2-57B-A14B',
  'qwen3-moe': 'Qwen3-30B-A3B',
  'qwen3-next': 'Qwen3-Next-80B-A3B',
  'qwen3.5-moe': 'Qwen3.5 35B-A3B and larger',
  'lfm2-moe': 'LFM2-8B-A1B',
  olmoe: 'OLMoE',
  'granite-moe': 'Granite 3 1B-A400M, 3B-A800M',
  'granite-moe-shared': 'Granite MoE with a shared expert (`granitemoeshared`)',
  'gpt-oss': 'gpt-oss-20b, gpt-oss-120b',
};

const SEEING: Record<string, string> = {
  gemma3: 'Gemma 3 4B, 12B, 27B',
  mistral3: 'Mistral Small 3.1, Ministral 3',
  llava: 'LLaVA 1.5',
  qwen2_vl: 'Qwen2-VL',
  qwen2_5_vl: 'Qwen2.5-VL',
  qwen3_vl: 'Qwen3-VL, dense',
  qwen3_vl_moe: 'Qwen3-VL 30B-A3B, 235B-A22B',
  qwen3_5: 'Qwen3.5 0.8B to 27B, dense',
  qwen3_5_moe: 'Qwen3.5 35B-A3B and larger',
  idefics3: 'Idefics3',
  smolvlm: 'SmolVLM',
  lfm2_vl: 'LFM2-VL 450M, 1.6B, 3B',
};

const WORDS: Record<ExportKind, string> = {
  stock: 'stock class',
  'own-modeling': 'own code',
  'llama.cpp': 'llama.cpp',
  deci: 'llama.cpp (deci)',
  openelm: 'llama.cpp (openelm)',
};

const HEADS = ' if heads are pruned';

const COLUMNS: [format: ExportFormat, widths: 'uniform' | 'per-block', title: string][] = [
  ['hf', 'uniform', 'Hugging Face out, equal widths'],
  ['hf', 'per-block', 'Hugging Face out, widths differ between blocks'],
  ['gguf', 'uniform', 'GGUF out, equal widths'],
  ['gguf', 'per-block', 'GGUF out, widths differ'],
];

/** What of a family's models a cell may depend on beside scope and widths. */
const VARIANTS: [has: (family: Family) => boolean, words: string, traits: Partial<ExportTraits>][] =
  [
    [
      ({ hf }) => hf.freeHeadDim === 'without longrope',
      ' and rope is longrope',
      { longrope: true, freeHeadDim: false },
    ],
    [
      ({ gguf }) => gguf?.unlike !== undefined,
      ' if the head is not the embedding',
      { tied: false },
    ],
  ];

export const FAMILY_TABLE = markdown([
  ['family', 'example', ...COLUMNS.map(([, , title]) => title)],
  ...FAMILIES.map((family) => [
    family.name,
    [exampleOf(EXAMPLES, family.name), ...notesOf(family)].join('; '),
    ...COLUMNS.map(([format, widths]) => cellOf(family, format, widths)),
  ]),
]);

export const SEEING_TABLE = markdown([
  ['class', 'example', 'its text model'],
  ...WRAPPERS.map(({ modelType, stockClass, texts, headsFillHidden }) => [
    stockClass,
    exampleOf(SEEING, modelType),
    texts.map(({ as }) => familyOfModelType(as).name).join(', ') +
      (headsFillHidden ? '; own code if heads are pruned' : ''),
  ]),
]);

function exampleOf(examples: Record<string, string>, name: string): string {
  const example = examples[name];
  if (example === undefined) throw new Error(`README has no example of ${name}`);
  return example;
}

/** What all models of the family have or lose, whatever the format. */
function notesOf(family: Family): string[] {
  const { qkNorm, otherMixer, hf } = family;
  const otherwise = runsOtherwise(family);
  return [
    ...(qkNorm === 'heads' ? ['heads are not pruned, because one norm spans all of them'] : []),
    ...(otherMixer === 'convolution' ? ['short convolutions are not pruned'] : []),
    ...(otherMixer === 'delta' ? ['delta rules are not pruned'] : []),
    ...(hf.unloaded ? [`multi-token prediction (\`${hf.unloaded}\`) is dropped`] : []),
    ...(otherwise ? [`in GGUF ${otherwise}`] : []),
  ];
}

/** The answer where no heads go; where another one differs, in which case. */
function cellOf(family: Family, format: ExportFormat, widths: 'uniform' | 'per-block'): string {
  const rows = exportTable().filter(
    (row) => row.family === family.name && row.widths === widths && !row.addedBias,
  );
  const wordsOf = (kind: ExportKind | null) => (kind === null ? 'refused' : WORDS[kind]);
  const answers = new Map<string, string>();
  for (const { scope, addedBias, ...row } of rows) {
    const goes = scope === 'attention' || scope === 'all' ? HEADS : '';
    if (goes && family.qkNorm === 'heads') continue;
    const plain = wordsOf(row[format]);
    note(answers, goes, plain);
    for (const [has, words, traits] of VARIANTS) {
      if (!has(family)) continue;
      const usual = usualTraits(family, { scope, widths, addedBias });
      const { kind } = holderOf({ ...usual, ...traits }, format);
      note(answers, goes + words, wordsOf(kind));
    }
  }
  const usual = answers.get('')!;
  const others = [...answers].filter(([when, answer]) => {
    const variant = when.replace(HEADS, '');
    const ofHeads = when.startsWith(HEADS) ? answers.get(HEADS) : usual;
    if (when === '' || when === HEADS) return answer !== usual;
    // Said of the variant already, or of pruned heads.
    return answer !== ofHeads && (variant === when || answer !== answers.get(variant));
  });
  return [usual, ...others.map(([when, answer]) => answer + when)].join('; ');
}

function note(answers: Map<string, string>, when: string, answer: string): void {
  const other = answers.get(when);
  if (other !== undefined && other !== answer) throw new Error(`two answers${when}`);
  answers.set(when, answer);
}

function markdown([head, ...rows]: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head!), `|${'---|'.repeat(head!.length)}`, ...rows.map(line)].join('\n');
}
