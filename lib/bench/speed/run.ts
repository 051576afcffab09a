/** A pruned checkpoint against the dense one, in llama.cpp and in our own forward pass, beside what the removed work allows. */

import type { BenchDocument, BenchSpeed } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { type Engine, withBytes } from '../../engine/engine';
import type { ModelSource } from '../../model/architecture';
import { type OnStage, stageReporter } from '../../progress';
import { sourceOf } from '../../source';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf, versions } from '../document';
import { timeForward } from './forward';
import { timeLlama } from './llama';
import { type SpeedOptions, type SpeedSettings, speedSettings } from './options';
import { type Pair, requireRelated } from './pair';
import { promptFor } from './prompt';
import { findRuntime, type Runtime } from './runtime';

/**
 * How much faster a model became: prompt and generation in llama.cpp where both are, or can be written as, GGUF files and
 * node-llama-cpp is there, and the prompt in our own forward pass, all on the CPU.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED (llama.cpp could not run them), ERR_SCRATCH
 */
export async function benchSpeed(
  dense: string | ModelSource,
  pruned: string | ModelSource,
  options: SpeedOptions,
): Promise<BenchDocument> {
  const started = performance.now();
  const settings = speedSettings(options);
  const { threads, signal } = options;
  const runtime = findRuntime(settings.runtime);
  return withEngine({ threads, signal, device: 'cpu' }, async (engine) => {
    const calls = { signal, onProgress: options.onProgress };
    const pair = [
      await sourceOf(dense, calls, engine),
      await sourceOf(pruned, calls, engine),
    ] as const;
    requireRelated(pair);
    const promptTokens = promptFor(pair[0], settings);
    const onStage = withBytes(engine, options.onProgress);
    const speed = await measure(engine, pair, { ...settings, promptTokens }, runtime, {
      signal,
      onStage,
    });
    const about = {
      command: commandLine(
        ['bench', 'speed', ...pair.map(({ path }) => path)],
        Object.entries({ ...settings, threads }),
      ),
      machine: machineOf(engine),
      seed: 0,
      settings: { ...settings, promptTokens, runtime: settings.runtime ?? null },
    };
    return documentOf(started, about, { speed });
  });
}

async function measure(
  engine: Engine,
  pair: Pair,
  { promptTokens, generatedTokens, repeats }: SpeedSettings & { promptTokens: number },
  runtime: Runtime | null,
  { signal, onStage }: { signal: AbortSignal | undefined; onStage: OnStage | undefined },
): Promise<BenchSpeed> {
  const rounds = repeats + 1;
  const report = stageReporter(onStage, 'measure', 2 * rounds);
  let done = 0;
  const prompt = await timeForward(engine, pair, {
    tokens: promptTokens,
    repeats,
    onRound: () => report(++done, `round ${done} of ${rounds} in our own forward pass`),
  });
  const ours = { runtime: `struprune-native ${versions().struprune}`, prompt, generation: null };
  report(done, `${rounds} rounds in llama.cpp`);
  const job = { promptTokens, generatedTokens, repeats };
  const llama = await timeLlama(engine, pair, runtime, job, signal);
  const left = typeof llama === 'string';
  const [dense, pruned] = pair.map((source, i) => {
    const { name, path, parameters, fileBytes } = modelOf(source);
    return { label: `${i === 0 ? 'dense' : 'pruned'}: ${name}`, path, parameters, fileBytes };
  });
  return {
    threads: engine.threads,
    ...job,
    dense: dense!,
    pruned: pruned!,
    runs: left ? [ours] : [llama, ours],
    notes: left ? [llama] : [],
  };
}
