/** A pruned checkpoint against the dense one in llama.cpp, beside what the removed work allows. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { withBytes, withEngine } from '../../engine/engine';
import { native } from '../../engine/native';
import { blockSpec } from '../../engine/session';
import { StruPruneError } from '../../errors';
import type { ModelSource, TensorRef } from '../../model/architecture';
import { stageReporter } from '../../progress';
import { sourceOf } from '../../source';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import { median } from '../median';
import type { BenchDocument, BenchSpeed } from '../schema';
import { type SpeedOptions, speedSettings } from './options';
import { findRuntime, timeModels } from './runtime';

/** Both are GGUF files of one dtype: `export` writes the dense one, `prune` the pruned one. */
export async function benchSpeed(
  dense: string,
  pruned: string,
  options: SpeedOptions,
): Promise<BenchDocument> {
  const started = performance.now();
  const settings = speedSettings(options);
  const { threads = availableParallelism(), signal, onProgress } = options;
  // llama.cpp runs on the CPU here; threads that cannot be meant are refused.
  const machine = await withEngine({ threads, signal, device: 'cpu' }, async (engine) =>
    machineOf(engine),
  );
  const runtime = findRuntime(settings.runtime);
  const sources = [await openGgufSource(dense), await openGgufSource(pruned)] as const;
  requireComparable(...sources);
  const { promptTokens, generatedTokens, repeats } = settings;
  const report = stageReporter(withBytes(null, onProgress), 'measure', 1);
  report(0, `${repeats + 1} rounds in ${runtime.name}`);
  const models = sources.map(({ path }) => resolve(path));
  const job = { models, promptTokens, generatedTokens, repeats, threads };
  const seconds = await timeModels(runtime, job, signal);
  const entries = sources.map((source, i) => ({
    label: `${i === 0 ? 'dense' : 'pruned'}: ${modelOf(source).name}`,
    path: source.path,
    parameters: source.parameters,
    fileBytes: modelOf(source).fileBytes,
    promptPerSecond: promptTokens / median(seconds[i]!.prompt),
    generationPerSecond: generatedTokens / median(seconds[i]!.generation),
  }));
  const [a, b] = [entries[0]!, entries[1]!];
  const speed: BenchSpeed = {
    runtime: runtime.name,
    threads,
    promptTokens,
    generatedTokens,
    repeats,
    dense: a,
    pruned: b,
    ratios: {
      prompt: b.promptPerSecond / a.promptPerSecond,
      promptAllowed: ratio(sources, (source) => promptFlops(source, promptTokens)),
      generation: b.generationPerSecond / a.generationPerSecond,
      generationAllowed: ratio(sources, bytesRead),
    },
  };
  const { runtime: place, ...rest } = settings;
  const about = {
    command: commandLine(
      ['bench', 'speed', dense, pruned],
      Object.entries({ ...settings, threads: options.threads }),
    ),
    machine,
    seed: 0,
    settings: { ...rest, runtime: place ?? null },
  };
  return documentOf(started, about, { speed });
}

async function openGgufSource(path: string): Promise<ModelSource> {
  const source = await sourceOf(path);
  if (source.format === 'gguf') return source;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `${path} is not a GGUF file`,
    'write the dense model with `struprune-native export MODEL -o dense.gguf --dtype f16`, the pruned one with `struprune-native prune MODEL -o pruned.gguf --dtype f16`',
  );
}

/** Other dtypes or another family would be measured as if pruning had made the difference. */
function requireComparable(dense: ModelSource, pruned: ModelSource): void {
  const dtypes = [dense, pruned].map(({ blocks }) => [
    ...new Set(blocks.flatMap((block) => matrices(block).map(({ dtype }) => dtype))),
  ]);
  const [of, other] = dtypes.map((names) => names.sort().join(', '));
  if (of === other && dense.architecture.hidden === pruned.architecture.hidden) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `the files hold other things: ${of} at width ${dense.architecture.hidden}, ${other} at width ${pruned.architecture.hidden}`,
    'export both from one model with the same --dtype',
  );
}

function matrices(block: ModelSource['blocks'][number]): TensorRef[] {
  return Object.values(block).filter(({ shape }) => shape.length > 1);
}

/** llama.cpp runs the head for the last token alone. */
function promptFlops({ architecture }: ModelSource, tokens: number): number {
  const blocks = architecture.blocks.map((_, index) =>
    native.blockFlops(blockSpec(architecture, index), tokens, tokens),
  );
  return blocks.reduce((sum, flops) => sum + flops, 2 * architecture.vocab * architecture.hidden);
}

/** Every generated token reads all blocks and the head once. */
function bytesRead({ blocks, model }: ModelSource): number {
  const head = model.head ?? model.embedding!;
  const tensors = blocks.flatMap((block) => Object.values(block));
  return tensors.reduce((sum, { bytes }) => sum + bytes, head.bytes);
}

function ratio(
  [dense, pruned]: readonly [ModelSource, ModelSource],
  of: (source: ModelSource) => number,
): number {
  return of(dense) / of(pruned);
}
