import { METHODS } from '../methods';
import { flagOf, worded } from '../wording';
import { OWN_OPTIONS, type PruneOptions } from './options';

/** A warning of options that were given although the method does not read them; none where there are no such. */
export function idleOptions(options: PruneOptions): string[] {
  const method = METHODS.get(options.method ?? '');
  if (!method) return [];
  // What is on unless switched off says nothing by being on.
  const given = OWN_OPTIONS.filter((key) => options[key] !== undefined && options[key] !== true);
  const idle = given.filter((key) => !method.reads.includes(key));
  if (idle.length === 0) return [];
  const flags = idle.map((key) => (options[key] === false ? `--no-${key}` : flagOf(key)));
  const have = flags.length === 1 ? 'has' : 'have';
  return [worded(`${flags.join(' and ')} ${have} no effect with --method ${method.name}`)];
}
