import { METHODS } from '../methods';
import { flagOf, worded } from '../wording';
import { OWN_OPTIONS, type PruneOptions, refitsByDefault, type Settings } from './options';

type Key = keyof PruneOptions & keyof Settings;

/** Options that only some settings read. */
interface Rule {
  keys: readonly Key[];
  read(settings: Settings): boolean;
  /** Why they are not: `without --eval`. */
  unless: string | ((settings: Settings) => string);
  /** Baselines have none of them. */
  own?: true;
}

const RULES: readonly Rule[] = [
  {
    keys: ['evalTokens', 'evalWindow'],
    read: (settings) => settings.eval !== undefined,
    unless: 'without --eval',
  },
  {
    keys: ['maxShardBytes'],
    read: ({ format }) => format !== 'gguf',
    unless: 'with a .gguf output',
  },
  {
    keys: ['energyForm', 'temperature'],
    read: ({ allocation }) => allocation === 'energy',
    unless: 'without --allocation energy',
  },
  {
    keys: ['layerWeights', 'fisherLabels', 'surveyTokens'],
    read: ({ allocation }) => allocation !== 'uniform',
    unless: 'with --allocation uniform',
    own: true,
  },
  {
    keys: ['fisherLabels'],
    read: ({ layerWeights }) => layerWeights === 'fisher',
    unless: ({ layerWeights }) => `with --layer-weights ${layerWeights}`,
    own: true,
  },
  {
    keys: ['admmStart', 'admmRho', 'admmGrowth', 'admmTolerance', 'admmIterations'],
    read: ({ mask }) => mask === 'admm',
    unless: 'without --mask admm',
    own: true,
  },
  {
    keys: ['auxiliaryIterations'],
    read: (settings) => solverOf(settings) === 'auxiliary',
    unless: 'without --ffn-solver auxiliary',
    own: true,
  },
  {
    keys: ['gaussNewtonRounds', 'gaussNewtonSteps'],
    read: (settings) => solverOf(settings) === 'gauss-newton',
    unless: (settings) => `with --ffn-solver ${solverOf(settings)}`,
    own: true,
  },
  {
    keys: ['ffnTokens'],
    read: (settings) => solverOf(settings) !== 'output',
    unless: 'with --ffn-solver output',
    own: true,
  },
];

/** The one that is given, or the default as far as it does not depend on the source. */
function solverOf(settings: Settings): NonNullable<Settings['ffnSolver']> {
  return settings.ffnSolver ?? (refitsByDefault(settings) ? 'gauss-newton' : 'output');
}

/** Warnings of options that were given although nothing reads them; none where there are no such. */
export function idleOptions(options: PruneOptions, settings: Settings): string[] {
  const method = METHODS.get(settings.method);
  // What is on unless switched off says nothing by being on.
  const given = (keys: readonly Key[]) =>
    keys.filter((key) => options[key] !== undefined && options[key] !== true);
  const others = method ? given(OWN_OPTIONS).filter((key) => !method.reads.includes(key)) : [];
  const warnings =
    others.length > 0 ? [withoutEffect(options, others, `with --method ${method!.name}`)] : [];
  const told = new Set<Key>(others);
  for (const { keys, read, unless, own } of RULES) {
    if ((own && method) || read(settings)) continue;
    const idle = given(keys).filter((key) => !told.has(key));
    if (idle.length === 0) continue;
    for (const key of idle) told.add(key);
    warnings.push(
      withoutEffect(options, idle, typeof unless === 'string' ? unless : unless(settings)),
    );
  }
  return warnings;
}

function withoutEffect(options: PruneOptions, keys: readonly Key[], reason: string): string {
  const flags = keys.map((key) => (options[key] === false ? `--no-${key}` : flagOf(key)));
  const have = flags.length === 1 ? 'has' : 'have';
  return worded(`${flags.join(' and ')} ${have} no effect ${reason}`);
}
