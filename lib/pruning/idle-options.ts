import { formatFor } from '../checkpoint/output-path';
import { METHODS } from '../methods';
import { flagOf, worded } from '../wording';
import { OWN_OPTIONS, type PruneOptions } from './options';

/** Warnings of options that were given although nothing reads them; none where there are no such. */
export function idleOptions(options: PruneOptions): string[] {
  const { output, format, maxShardBytes } = options;
  const oneFile = maxShardBytes !== undefined && formatFor(output, format) === 'gguf';
  const shards = oneFile ? [withoutEffect(['--max-shard-size'], 'a .gguf output')] : [];
  return [...shards, ...idleOfMethod(options)];
}

function idleOfMethod(options: PruneOptions): string[] {
  const { method: name, layerWeights, fisherLabels } = options;
  const method = METHODS.get(name ?? '');
  if (!method) {
    const idle = fisherLabels !== undefined && layerWeights && layerWeights !== 'fisher';
    return idle ? [withoutEffect(['--fisher-labels'], `--layer-weights ${layerWeights}`)] : [];
  }
  // What is on unless switched off says nothing by being on.
  const given = OWN_OPTIONS.filter((key) => options[key] !== undefined && options[key] !== true);
  const idle = given.filter((key) => !method.reads.includes(key));
  if (idle.length === 0) return [];
  const flags = idle.map((key) => (options[key] === false ? `--no-${key}` : flagOf(key)));
  return [withoutEffect(flags, `--method ${method.name}`)];
}

function withoutEffect(flags: string[], reason: string): string {
  const have = flags.length === 1 ? 'has' : 'have';
  return worded(`${flags.join(' and ')} ${have} no effect with ${reason}`);
}
