import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import type { ModelSource } from '../model/architecture';
import type { Settings } from './options';
import type { PruneResult } from './result';

/** SHA-256 of every weight file of a checkpoint. */
export async function hashFiles(
  source: ModelSource,
  signal?: AbortSignal,
): Promise<{ name: string; sha256: string }[]> {
  const hashes = [];
  for (const file of source.files) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20, signal })) {
      hash.update(chunk);
    }
    hashes.push({ name: basename(file), sha256: hash.digest('hex') });
  }
  return hashes;
}

/** Licence of the source as it states it. */
function licenceOf(source: ModelSource): string {
  const stated = source.config['general.license'] ?? source.config.license;
  return typeof stated === 'string' ? stated : 'as the source model';
}

/** README.md of an exported folder: where it comes from, how it was made, what it costs. */
export function modelCard(
  source: ModelSource,
  settings: Settings,
  hashes: { name: string; sha256: string }[],
  result: Omit<PruneResult, 'verification' | 'perplexityAfter' | 'samples' | 'bytesAfter'>,
): string {
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const rows = [
    ['method', `${result.method}, ${result.allocation} allocation, scope ${result.scope}`],
    ['parameters', `${result.parametersBefore} before, ${result.parametersAfter} after`],
    ['sparsity of the blocks’ linear weights', percent(result.sparsity)],
    ['share of the whole file removed', percent(result.fileSparsity)],
    ['calibration tokens', String(settings.calibrationTokens)],
    ['perplexity before', result.perplexityBefore?.toFixed(3) ?? 'not measured'],
    ['licence', licenceOf(source)],
    ['loads as', result.kind],
  ];
  const options = Object.entries(settings)
    .filter(([key]) => !['output', 'calibration', 'eval', 'force', 'scratch'].includes(key))
    .map(([key, value]) => `- ${key}: ${JSON.stringify(value)}`);
  return `${[
    '---',
    `license: ${licenceOf(source) === 'as the source model' ? 'other' : licenceOf(source)}`,
    'tags: [pruned, struprune]',
    '---',
    `# ${basename(source.path)}, pruned`,
    '',
    'A physically smaller checkpoint, made by struprune-native by structured pruning: whole FFN channels or',
    'attention heads were removed and what is left was refitted on calibration text.',
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    'Source files:',
    ...hashes.map(({ name, sha256 }) => `- \`${name}\`, SHA-256 ${sha256}`),
    '',
    'Options of the run:',
    ...options,
    '',
    ...result.notes.map((note) => `- ${note}`),
  ].join('\n')}\n`;
}
