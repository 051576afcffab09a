/** The program's own prune beside other programs' on the same tokens and cores, one after the other. */

import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cutWindows } from '../../calibration/cut-windows';
import { readWindows } from '../../calibration/text';
import type { BenchContender, BenchDocument } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { type Engine, withBytes } from '../../engine/engine';
import { PLAIN_NODE } from '../../engine/plain-node';
import { measureRoofs } from '../../engine/roofs';
import { AS_IS, Session } from '../../engine/session';
import { StruPruneError } from '../../errors';
import { exportOn } from '../../export-model';
import { calibrationWindow, evaluateIds } from '../../measure/perplexity';
import type { ModelSource } from '../../model/architecture';
import { type RunSettings, settingsOf } from '../../options';
import { feeds } from '../../options/refit';
import { packageRoot } from '../../package-root';
import { stageReporter } from '../../progress';
import type { PruneResult } from '../../pruning/result';
import { LAMBDA } from '../../solver/ridge';
import { sourceOf } from '../../source';
import { resolve } from '../../spec';
import { layersOf } from '../../spec/widths';
import { commandLine, flagOf, quoted } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import { runProgram } from '../process';
import { type TokenisedText, tokenise } from '../quality/texts';
import { peakOf } from '../resident';
import { withScratch } from '../scratch';
import { answerOf, type PeerJob, pruningSeconds, writeIds } from './job';
import { type PeersOptions, type PeersSettings, peersSettings } from './options';
import { usefulWork } from './useful';

interface Run {
  engine: Engine;
  source: ModelSource;
  settings: PeersSettings;
  /** Of prune(): its defaults, with the scope and the weights that the torch reference has. */
  pruning: RunSettings;
  calibration: TokenisedText;
  evalIds: Int32Array | null;
  folder: string;
  signal: AbortSignal | undefined;
}

/**
 * StruPrune on FFN channels, its defaults but for the scope and the layer weights (Fisher), against other programs. Each runs in a process of its own, so that
 * its seconds hold everything from start to exit; perplexities are measured outside of them.
 */
export async function benchPeers(model: string, options: PeersOptions): Promise<BenchDocument> {
  const started = performance.now();
  const settings = peersSettings(options);
  const { threads = availableParallelism(), signal, onProgress } = options;
  return withEngine({ threads, signal, device: 'cpu' }, async (engine) => {
    const source = await sourceOf(model, options, engine);
    requireGated(source, settings);
    await requireTorch(settings, signal);
    return withScratch(settings.scratch, async (folder) => {
      const run = await openRun(engine, source, settings, folder, signal);
      const commands = settings.command.length ? settings.command : [torchCommand(settings)];
      const report = stageReporter(withBytes(engine, onProgress), 'measure', commands.length + 1);
      const job = await writeJob(run);
      report(0, 'this program');
      const before = await measureRoofs(engine, 0.3);
      const own = await ours(run);
      const peers: BenchContender[] = [];
      for (const command of commands) {
        report(peers.length + 1, command);
        peers.push(await theirs(run, command, job));
      }
      const after = await measureRoofs(engine, 0.3);
      const rates = { f32: Math.max(before.f32, after.f32), f64: Math.max(before.f64, after.f64) };
      const useful = usefulWork(workOf(run, own.result), rates);
      const needed = useful.reduce((sum, { seconds }) => sum + seconds, 0);
      const { command, scratch, ...rest } = settings;
      const about = {
        command: commandLine(
          ['bench', 'peers', model],
          [
            ...Object.entries({ ...rest, threads: options.threads }),
            ...command.map((words): [string, string] => ['command', words]),
          ],
        ),
        machine: machineOf(engine, { sgemmRate: rates.f32, dgemmRate: rates.f64 }),
        seed: settings.seed,
        settings,
      };
      return documentOf(started, about, {
        peers: {
          model: modelOf(source),
          calibration: run.calibration.about,
          sparsity: settings.sparsity,
          ours: own.contender,
          peers: peers.map((peer) => ({ ...peer, ratios: ratiosOf(peer, own.contender) })),
          useful,
          overUseful: own.contender.seconds / needed,
        },
      });
    });
  });
}

/** What the torch reference knows. */
function requireGated({ architecture }: ModelSource, { command }: PeersSettings): void {
  if (command.length || architecture.gated) return;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `the torch reference has no ${architecture.family} models`,
    'give a program of your own with --command',
  );
}

/** Before our own prune, which takes minutes. @throws StruPruneError ERR_NOT_FOUND, ERR_UNSUPPORTED */
async function requireTorch(
  { command, python }: PeersSettings,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (command.length) return;
  try {
    await runProgram([python, '-c', 'import torch, transformers'], { signal });
  } catch (error) {
    if (!(error instanceof StruPruneError)) throw error;
    const missing = error.code === 'ERR_NOT_FOUND';
    throw new StruPruneError(
      error.code,
      missing ? error.found : `${python} does not import torch and transformers`,
      `${missing ? '' : 'install them for it, '}name another Python with --python, or a program of your own with --command`,
      { cause: error },
    );
  }
}

async function openRun(
  engine: Engine,
  source: ModelSource,
  settings: PeersSettings,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<Run> {
  const { architecture } = source;
  const window = calibrationWindow(architecture, settings.window);
  const { calibration: path, calibrationTokens: maxTokens, evalTokens, eval: text } = settings;
  const calibration = await tokenise(source, path, { window, maxTokens, signal });
  const evalIds = text
    ? await readWindows(source, text, { window, maxTokens: evalTokens, signal })
    : null;
  const { sparsity, surveyTokens, seed, scratch } = settings;
  const asked = settingsOf({
    output: join(folder, 'pruned'),
    calibration: path,
    calibrationTokens: calibration.about.tokens,
    window,
    sparsity,
    surveyTokens,
    seed,
    scratch,
    layerWeights: 'fisher',
    scope: 'ffn',
    // What the torch reference does.
    lambda: LAMBDA,
    ffnSolver: 'output',
    tuneTokens: 0,
  });
  const pruning = resolve(source, asked).settings;
  return { engine, source, settings, pruning, calibration, evalIds, folder, signal };
}

/** The job's path. A GGUF source becomes a folder of the same weights in float32 first. */
async function writeJob(run: Run): Promise<string> {
  const { engine, source, settings, pruning, calibration, evalIds, folder } = run;
  const { window } = calibration.about;
  const model = source.format === 'hf' ? source.path : await exportDense(run);
  const multiple = layersOf(source.architecture, pruning, 'F16')[0]!.allowed;
  const job: PeerJob = {
    model,
    calibration: {
      ids: await writeIds(folder, 'calibration', calibration.ids),
      window,
      cut: cutWindows(calibration.ids.length, window) ?? null,
    },
    eval: evalIds && { ids: await writeIds(folder, 'eval', evalIds), window },
    surveyTokens: settings.surveyTokens,
    sparsity: settings.sparsity,
    multiple: multiple.length > 2 ? multiple[2]! - multiple[1]! : 1,
    maxLayerSparsity: pruning.maxLayerSparsity,
    lambda: LAMBDA,
    alpha: pruning.alpha,
    beta: pruning.beta,
    threads: engine.threads,
    seed: settings.seed,
  };
  const path = join(folder, 'job.json');
  await writeFile(path, JSON.stringify(job));
  return path;
}

async function exportDense({ engine, source, folder }: Run): Promise<string> {
  const output = join(folder, 'dense');
  await exportOn(engine, source, { output, format: 'hf', dtype: 'f32', force: false });
  return output;
}

async function ours(run: Run): Promise<{ contender: BenchContender; result: PruneResult }> {
  const { engine, source, settings, pruning, signal } = run;
  const { calibrationTokens, window, surveyTokens, sparsity, seed, calibration } = pruning;
  const { scope, layerWeights, lambda, ffnSolver, tuneTokens } = pruning;
  const flags = {
    calibration,
    calibrationTokens,
    window,
    surveyTokens,
    sparsity,
    seed,
    scope,
    layerWeights,
    lambda,
    ffnSolver,
    tuneTokens,
  };
  const words = commandLine(['prune', source.path], Object.entries(flags));
  const program = join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  // The others run on the CPU.
  const machine = { threads: engine.threads, device: 'cpu' };
  const args = Object.entries({ ...flags, output: pruning.output, ...machine });
  const command = [process.execPath, program, 'prune', source.path, '--json'].concat(
    args.flatMap(([key, value]) => [flagOf(key), String(value)]),
  );
  const finished = await runProgram(command, { env: PLAIN_NODE, signal, memoryOf: peakOf });
  const { seconds, peakBytes: peakRssBytes, stdout } = finished;
  const result: PruneResult = JSON.parse(stdout);
  const { measuringSeconds } = result;
  const solve = result.layerStats.reduce((sum, layer) => sum + layer.seconds, 0);
  const stages = [
    { name: 'solve', seconds: solve },
    { name: 'survey, write, verify', seconds: result.seconds - measuringSeconds - solve },
    { name: 'start and end', seconds: seconds - result.seconds },
    { name: 'evaluate', seconds: measuringSeconds },
  ];
  const contender = {
    label: 'struprune-native',
    command: words,
    seconds: pruningSeconds(seconds, stages),
    peakRssBytes,
    stages,
    forwardShare: null,
    perplexity: settings.eval ? await perplexityOf(run) : null,
  };
  return { contender, result };
}

async function perplexityOf({ engine, pruning, evalIds, calibration }: Run): Promise<number> {
  const session = new Session(engine, await sourceOf(pruning.output), AS_IS, engine.overflow);
  try {
    const { window } = calibration.about;
    return (await evaluateIds(session, evalIds!, { window })).perplexity;
  } finally {
    session.dispose();
  }
}

async function theirs(run: Run, command: string, job: string): Promise<BenchContender> {
  const threads = String(run.engine.threads);
  // exec: the shell is gone, so that the process is the program's own.
  const words = ['/bin/sh', '-c', `exec ${command} "$0"`, job];
  const env = { OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads };
  const finished = await runProgram(words, { env, signal: run.signal, memoryOf: peakOf });
  const { seconds, stdout } = finished;
  const { peakBytes, ...answer } = answerOf(stdout);
  const label = command.includes('torch_prune.py') ? 'torch reference' : command;
  return {
    label,
    command: `${command} JOB`,
    seconds: pruningSeconds(seconds, answer.stages),
    peakRssBytes: peakBytes ?? finished.peakBytes,
    ...answer,
  };
}

function torchCommand({ python }: PeersSettings): string {
  const script = join(__dirname, 'torch_prune.py');
  return `${quoted(python)} ${quoted(script)}`;
}

function ratiosOf(peer: BenchContender, own: BenchContender) {
  const memory =
    peer.peakRssBytes !== null && own.peakRssBytes !== null
      ? peer.peakRssBytes / own.peakRssBytes
      : null;
  return { seconds: peer.seconds / own.seconds, memory };
}

function workOf({ source, settings, pruning, calibration }: Run, result: PruneResult) {
  const { tokens, window } = calibration.about;
  return {
    architecture: source.architecture,
    window,
    calibrationTokens: tokens,
    surveyTokens: Math.max(1, Math.floor(settings.surveyTokens / window)) * window,
    layers: result.layerStats,
    feedback: feeds(pruning),
    mostRemoved: layersOf(source.architecture, pruning, 'F16')[0]!.allowed.at(-1)!,
  };
}
