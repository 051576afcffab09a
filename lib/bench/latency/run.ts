/** How the time of a token goes with the widths of a model: what `prune --target-speed` prices widths by. */
import { join } from 'node:path';
import type { BenchDocument, BenchLatency, BenchPace } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { type Engine, withBytes } from '../../engine/engine';
import { StruPruneError } from '../../errors';
import { exportOn } from '../../export-model';
import type { ModelSource } from '../../model/architecture';
import { type PruneOptions, settingsOf } from '../../options';
import { type OnStage, stageReporter } from '../../progress';
import { pruneOn } from '../../prune';
import { Surveys } from '../../pruning/surveys';
import { sourceOf } from '../../source';
import { resolve } from '../../spec';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf, versions } from '../document';
import { withScratch } from '../scratch';
import { timeForward } from '../speed/forward';
import { timeLlama } from '../speed/llama';
import type { Pair } from '../speed/pair';
import { promptFor } from '../speed/prompt';
import { findRuntime, type Runtime } from '../speed/runtime';
import { type LatencyOptions, type LatencySettings, latencySettings } from './options';
import { leaving, widthsToTime } from './widths';

type Speed = NonNullable<BenchDocument['speed']>['runs'][number];
type Time = BenchLatency['dense'];

interface Job extends Omit<LatencySettings, 'promptTokens' | 'runtime'> {
  promptTokens: number;
  runtime: Runtime | null;
  signal: AbortSignal | undefined;
}

/** What a run calibrates on that reads none of it. */
const NO_TEXT = new Int32Array(8).fill(16);

/**
 * Times the model with fewer units of one kind of site in every block beside the dense one, round by round: in llama.cpp where
 * node-llama-cpp is there, else the prompt alone in our own forward pass. The time does not depend on which units go.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_SCRATCH
 */
export async function benchLatency(
  model: string | ModelSource,
  options: LatencyOptions,
): Promise<BenchDocument> {
  const started = performance.now();
  const settings = latencySettings(options);
  const { threads, signal, onProgress } = options;
  const runtime = findRuntime(settings.runtime);
  return withEngine({ threads, signal, device: 'cpu' }, async (engine) => {
    const source = await sourceOf(model, { signal, onProgress }, engine);
    const promptTokens = promptFor(source, settings);
    const job = { ...settings, promptTokens, runtime, signal };
    const latency = await withScratch(settings.scratch, (scratch) =>
      measure(engine, source, job, scratch, withBytes(engine, onProgress)),
    );
    const about = {
      command: commandLine(
        ['bench', 'latency', source.path],
        Object.entries({ ...settings, threads }),
      ),
      machine: machineOf(engine),
      seed: 0,
      settings: { ...settings, promptTokens, runtime: settings.runtime ?? null },
    };
    return documentOf(started, about, { latency });
  });
}

async function measure(
  engine: Engine,
  source: ModelSource,
  job: Job,
  scratch: string,
  onStage: OnStage | undefined,
): Promise<BenchLatency> {
  const { signal, runtime, promptTokens, generatedTokens, repeats } = job;
  const dense = runtime ? await asGguf(engine, source, job, scratch) : source;
  const output = join(scratch, runtime ? 'narrow.gguf' : 'narrow');
  const asked: PruneOptions = {
    ...{ method: 'magnitude-l2', scope: 'all', maxLayerSparsity: 1, sparsity: 0, dtype: job.dtype },
    ...{ calibration: 'none', calibrationTokens: NO_TEXT.length, window: NO_TEXT.length },
    ...{ output, force: true },
  };
  const { layers, output: stored } = resolve(dense, settingsOf(asked));
  const { units, widths } = widthsToTime(layers);
  const report = stageReporter(onStage, 'measure', widths.length);
  const measured: Speed[] = [];
  const surveys = new Surveys();
  try {
    const shared = { ids: NO_TEXT, surveys, resumable: false };
    for (const [i, width] of widths.entries()) {
      report(i, `${width.units} of ${units[width.site]} units of ${width.site}`);
      const allocation = { name: 'widths', allocate: leaving(width) };
      await pruneOn(engine, dense, settingsOf({ ...asked, allocation }), { signal }, shared);
      measured.push(await speedOf(engine, [dense, await sourceOf(output, {}, engine)], job));
    }
  } finally {
    surveys.dispose();
  }
  report(widths.length, 'done');
  const whole = timeOf(measured[0]!);
  return {
    model: modelOf(source),
    runtime: measured[0]!.runtime,
    dtype: stored.dtype.toLowerCase(),
    threads: engine.threads,
    ...{ promptTokens, generatedTokens, repeats, units },
    dense: whole,
    rows: widths.map((width, i) => ({ ...width, ...narrower(whole, measured[i]!) })),
  };
}

/** What llama.cpp reads: the model itself, or the same written so. */
async function asGguf(
  engine: Engine,
  source: ModelSource,
  { dtype, signal }: Job,
  scratch: string,
): Promise<ModelSource> {
  if (source.format === 'gguf' && dtype === undefined) return source;
  const output = join(scratch, 'dense.gguf');
  const rest = { format: 'gguf', force: false, maxShardBytes: undefined } as const;
  await exportOn(engine, source, { output, dtype, ...rest }, undefined, signal);
  return sourceOf(output, { signal }, engine);
}

async function speedOf(engine: Engine, pair: Pair, job: Job): Promise<Speed> {
  const { runtime, signal, promptTokens: tokens, repeats } = job;
  if (runtime) {
    const found = await timeLlama(engine, pair, runtime, job, signal);
    if (typeof found !== 'string') return found;
    // Some widths timed there and others here would be no table.
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      found,
      'give a --dtype, which every width then has',
    );
  }
  const prompt = await timeForward(engine, pair, { tokens, repeats, onRound: () => {} });
  return { runtime: `struprune-native ${versions().struprune}`, prompt, generation: null };
}

/** Of the dense model in its fastest round: what else runs on a machine only ever makes a round slower. */
function timeOf({ prompt, generation }: Speed): Time {
  return { prompt: 1 / prompt.dense.most, generation: generation && 1 / generation.dense.most };
}

/** By its ratio to the dense model beside it: a shared machine is not as fast an hour later. */
function narrower(dense: Time, { prompt, generation }: Speed): Time {
  const ratio = ({ dense: before, pruned }: BenchPace) => pruned.most / before.most;
  return {
    prompt: dense.prompt / ratio(prompt),
    generation: generation && dense.generation! / ratio(generation),
  };
}
