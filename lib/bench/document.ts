/** The parts of a document that every benchmark has. */
import { readFileSync, statSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../engine/engine';
import { native } from '../engine/native';
import type { ModelSource } from '../model/architecture';
import { linearParameters } from '../model/groups';
import { modelName } from '../model/name';
import { packageRoot } from '../package-root';
import { flagOf, quoted } from '../wording';
import {
  BENCH_FORMAT,
  BENCH_VERSION,
  type BenchDocument,
  type BenchMachine,
  type BenchModel,
} from './schema';

export type Rates = Pick<BenchMachine, 'sgemmRate' | 'dgemmRate' | 'bandwidth'>;

export function machineOf(engine: Engine, rates: Partial<Rates> = {}): BenchMachine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    threads: engine.threads,
    device: engine.device,
    memoryBytes: totalmem(),
    system: `${process.platform} ${process.arch} ${release()}`,
    blas: native.blas,
    gemmPath: engine.gemmPath,
    calibrationPath: engine.calibrationPath,
    sgemmRate: null,
    dgemmRate: null,
    bandwidth: null,
    ...rates,
  };
}

/** What finished results of a journal were made on, as far as any benchmark asks. */
export function journalMachine(engine: Engine) {
  const { cpu, threads, gemmPath, calibrationPath, blas } = machineOf(engine);
  return { cpu, threads, ...native.devices(), gemmPath, calibrationPath, blas };
}

export function versions(): BenchDocument['versions'] {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return { struprune: version, node: process.versions.node };
}

export function modelOf(source: ModelSource): BenchModel {
  const { architecture } = source;
  return {
    name: modelName(source.path),
    path: source.path,
    family: architecture.family,
    parameters: source.parameters,
    linearWeights: linearParameters(architecture),
    fileBytes: source.files.reduce((sum, file) => sum + statSync(file).size, 0),
    blocks: architecture.blocks.length,
    hidden: architecture.hidden,
    vocab: architecture.vocab,
  };
}

/** A document with one section; `started` as performance.now() gave it. */
export function documentOf(
  started: number,
  about: Pick<BenchDocument, 'command' | 'machine' | 'seed' | 'settings'>,
  section: Pick<BenchDocument, 'quality' | 'kernels' | 'speed' | 'peers' | 'memory' | 'masks'>,
): BenchDocument {
  return {
    format: BENCH_FORMAT,
    version: BENCH_VERSION,
    date: new Date(performance.timeOrigin + started).toISOString(),
    seconds: (performance.now() - started) / 1000,
    ...about,
    versions: versions(),
    ...section,
  };
}

/** A command line of flags by the name of their option, quoted where a shell would split; lists by commas. */
export function commandLine(words: readonly string[], flags: readonly [string, unknown][]): string {
  const parts = flags.flatMap(([key, value]) => {
    const flag = flagOf(key);
    if (value === undefined || value === false) return [];
    if (value === true) return [flag];
    return [flag, quoted(Array.isArray(value) ? value.join(',') : String(value))];
  });
  return ['npx', 'struprune-native', ...words.map(quoted), ...parts].join(' ');
}
