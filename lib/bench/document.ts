/** The parts of a document that every benchmark has. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  BENCH_FORMAT,
  BENCH_VERSION,
  type BenchDocument,
  type BenchMachine,
  type BenchModel,
} from '../documents/bench';
import type { Engine } from '../engine/engine';
import { native } from '../engine/native';
import { addonFile } from '../engine/native-files';
import type { ModelSource } from '../model/architecture';
import { linearParameters } from '../model/groups';
import { modelName } from '../model/name';
import { packageRoot } from '../package-root';
import type { SectionName } from './join';

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
    searchPath: engine.searchPath,
    sgemmRate: null,
    dgemmRate: null,
    bandwidth: null,
    ...rates,
  };
}

/** What finished results of a journal were made on, as far as any benchmark asks. */
export function journalMachine(engine: Engine) {
  const { cpu, threads, gemmPath, calibrationPath, searchPath, blas } = machineOf(engine);
  return { cpu, threads, ...native.devices(), gemmPath, calibrationPath, searchPath, blas };
}

export function versions(): BenchDocument['versions'] {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return { struprune: version, node: process.versions.node };
}

let build: string | undefined;

/** 12 hexadecimal digits that tell this build of the program from others of its version: a hash of its code. */
export function buildOf(): string {
  build ??= hashOf([...filesUnder(join(__dirname, '..')), addonFile()]);
  return build;
}

function hashOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

/** Code alone, in an order that is the same everywhere. */
function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[jt]s$/.test(name))
    .sort()
    .map((name) => join(folder, name));
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
  section: Pick<BenchDocument, SectionName>,
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
