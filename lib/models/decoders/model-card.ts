import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import type { GgufEntry } from '../../checkpoint/container';
import { loadsAs } from '../../checkpoint/export-table';
import { licenceLines, licenceMetadata, licenceOf, licenceWords } from '../../checkpoint/licence';
import { type ExportFormat, formatFor } from '../../checkpoint/output-path';
import { pieces } from '../../checkpoint/pieces';
import { isEmbeddedMix } from '../../embedded';
import type { ModelSource } from '../../model/architecture';
import { modelName, repoOfSnapshot } from '../../model/name';
import { tokensInWindows } from '../../numbers';
import { changesWeights, optionOf } from '../../options';
import { markdown, oneLine, yaml } from '../../printable';
import type { Identity } from '../../pruning/journal/identity';
import type { PruneResult } from '../../pruning/result';
import { flagOf, quoted } from '../../wording';

/** SHA-256 of every weight file of a checkpoint. */
export type Hashes = readonly { name: string; sha256: string }[];

export async function hashFiles(source: ModelSource, signal?: AbortSignal): Promise<Hashes> {
  const hashes = [];
  for (const file of source.files) {
    const hash = createHash('sha256');
    for await (const piece of pieces(file, { signal })) hash.update(piece);
    hashes.push({ name: basename(file), sha256: hash.digest('hex') });
  }
  return hashes;
}

/** The command that makes the same weights, paths shortened to names. */
export function commandOf(source: ModelSource, settings: Identity): string {
  const gguf = formatFor(String(settings.output), settings.format as ExportFormat) === 'gguf';
  return [
    `npx struprune-native prune ${quoted(modelName(source.path))} -o ${gguf ? 'OUT.gguf' : 'OUT'}`,
    ...(isEmbeddedMix(settings.calibration)
      ? []
      : [`--calibration ${quoted(basename(String(settings.calibration ?? 'TEXT')))}`]),
    ...Object.entries(settings).flatMap(([key, value]) => wordsOf(key, value)),
  ].join(' ');
}

/** A setting as flags; none where another value would make the same weights. */
function wordsOf(key: string, value: Identity[string]): string[] {
  const option = optionOf(key);
  if (value === null || !option || !changesWeights(option)) return [];
  if (typeof value !== 'boolean') return [`${flagOf(key)} ${quoted(String(value))}`];
  if (option.takes.off) return value ? [] : [`--no-${key}`];
  return value ? [flagOf(key)] : [];
}

const text = (value: string): GgufEntry => ({ type: 'string', value });

/** What a GGUF file that is made of a checkpoint says of it. */
export function originOf(source: ModelSource, suffix = ''): Record<string, GgufEntry> {
  return {
    'general.name': text(`${modelName(source.path).replace(/\.gguf$/, '')}${suffix}`),
    ...licenceMetadata(licenceOf(source)),
  };
}

/** The same facts as typed GGUF metadata. */
export function provenance(
  source: ModelSource,
  settings: Identity,
  hashes: Hashes,
): Record<string, GgufEntry> {
  return {
    ...originOf(source, ' pruned'),
    'struprune.command': text(commandOf(source, settings)),
    'struprune.source_sha256': text(hashes.map(({ sha256 }) => sha256).join(' ')),
  };
}

/** The model's name on the Hugging Face Hub, where it came from there. */
function baseModel({ path }: ModelSource): string[] {
  const repo = repoOfSnapshot(path) ?? repoOfSnapshot(dirname(path));
  return repo === null ? [] : [`base_model: ${yaml(repo)}`];
}

/** Lines of Python that load a folder of ours. @param path a Python expression @param seeing it is of text and images */
export function loadingCode(
  { kind, seeing }: Pick<PruneResult, 'kind' | 'seeing'>,
  path: string,
): [imports: string, model: string, reader: string] {
  // AutoTokenizer reads config.json too, and would ask about its code on the terminal.
  const trust = kind === 'own-modeling' ? ', trust_remote_code=True' : '';
  const model = seeing ? 'AutoModelForImageTextToText' : 'AutoModelForCausalLM';
  const [name, reader] = seeing ? ['processor', 'AutoProcessor'] : ['tokenizer', 'AutoTokenizer'];
  return [
    `from transformers import ${model}, ${reader}`,
    `model = ${model}.from_pretrained(${path}${trust})`,
    `${name} = ${reader}.from_pretrained(${path}${trust})`,
  ];
}

function usage(result: Pick<PruneResult, 'kind' | 'seeing'>): string[] {
  const [imports, ...loads] = loadingCode(result, 'name');
  const used = [
    'inputs = tokenizer("Once upon a time", return_tensors="pt")',
    'print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))',
  ];
  return [
    '```python',
    imports,
    '',
    'name = "."  # this folder, or its name where it is published',
    ...loads,
    ...(result.seeing ? [] : used),
    '```',
    '',
    ...(result.seeing
      ? ['Its text model alone was pruned, on text; what sees images is as it was.', '']
      : []),
  ];
}

/** README.md of an exported folder: where it comes from, how it was made, what it costs. */
export function modelCard(
  source: ModelSource,
  hashes: Hashes,
  result: Pick<
    PruneResult,
    | 'settings'
    | 'calibrationTokens'
    | 'tuning'
    | 'window'
    | 'method'
    | 'allocation'
    | 'scope'
    | 'parametersBefore'
    | 'parametersAfter'
    | 'sparsity'
    | 'fileSparsity'
    | 'perplexityBefore'
    | 'perplexityAfter'
    | 'measuredOn'
    | 'kind'
    | 'seeing'
    | 'notes'
  >,
): string {
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const measured = (value: number | null) => value?.toFixed(3) ?? 'not measured';
  const licence = licenceOf(source);
  const rows = [
    ['method', `${result.method}, ${result.allocation} allocation, scope ${result.scope}`],
    ['calibration', tokensInWindows(result.calibrationTokens, result.window)],
    ...(result.tuning ? [['tuning', tokensInWindows(result.tuning.tokens, result.window)]] : []),
    ['parameters', `${result.parametersBefore} before, ${result.parametersAfter} after`],
    ['linear weights of the blocks removed', percent(result.sparsity)],
    ['parameters of the file removed', percent(result.fileSparsity)],
    ['perplexity before', measured(result.perplexityBefore)],
    ['perplexity after', measured(result.perplexityAfter)],
    ...(result.measuredOn === null ? [] : [['evaluated on', result.measuredOn]]),
    ['licence', licenceWords(licence)],
    ['loads as', loadsAs(result.kind)],
  ];
  return `${[
    '---',
    ...licenceLines(licence),
    ...baseModel(source),
    'library_name: transformers',
    `pipeline_tag: ${result.seeing ? 'image-text-to-text' : 'text-generation'}`,
    'tags: [pruned, struprune]',
    '---',
    `# ${markdown(modelName(source.path))}, pruned`,
    '',
    'A physically smaller checkpoint, made by struprune-native by structured pruning: whole FFN channels or',
    'attention heads were removed.',
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${markdown(value!)} |`),
    '',
    ...usage(result),
    'Source files:',
    '',
    ...hashes.map(({ name, sha256 }) => `- ${markdown(name)}, SHA-256 ${sha256}`),
    '',
    'Command:',
    '',
    '```',
    oneLine(commandOf(source, result.settings)),
    '```',
    '',
    ...result.notes.map((note) => `- ${markdown(note)}`),
  ].join('\n')}\n`;
}
