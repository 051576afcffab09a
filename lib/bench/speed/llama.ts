/** Two models in llama.cpp, beside what the removed work allows there. */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { BenchSpeed } from '../../documents/bench';
import type { Engine } from '../../engine/engine';
import { native } from '../../engine/native';
import { blocksFlops } from '../../measure/perplexity';
import type { ModelSource } from '../../model/architecture';
import { embeddingWidth } from '../../model/axes';
import { withScratch } from '../scratch';
import { paceOf } from './pace';
import { ggufPair, type Pair } from './pair';
import { NOT_INSTALLED, type Runtime, type SpeedJob, timeModels } from './runtime';

/** What was measured, or in words why nothing was. @throws StruPruneError ERR_UNSUPPORTED, ERR_SCRATCH */
export async function timeLlama(
  engine: Engine,
  pair: Pair,
  runtime: Runtime | null,
  job: Omit<SpeedJob, 'models' | 'threads'>,
  signal: AbortSignal | undefined,
): Promise<BenchSpeed['runs'][number] | string> {
  if (pair[1].format !== 'gguf') {
    return 'llama.cpp was left out: it reads GGUF files alone, and the pruned model is a folder';
  }
  if (runtime === null) return NOT_INSTALLED;
  return withScratch(tmpdir(), async (scratch) => {
    const files = await ggufPair(engine, pair, scratch);
    if (!files) {
      return 'llama.cpp was left out: the pruned model has maps of several types, and the dense one is no GGUF file of the same';
    }
    const models = files.map(({ path }) => resolve(path));
    const { threads } = engine;
    const [dense, pruned] = await timeModels(runtime, { ...job, models, threads }, signal);
    const { promptTokens, generatedTokens } = job;
    const ratio = (of: (source: ModelSource) => number) => of(files[0]) / of(files[1]);
    const flops = ratio((source) => promptFlops(source, promptTokens));
    const bytes = ratio(bytesRead);
    return {
      runtime: runtime.name,
      prompt: paceOf([dense.prompt, pruned.prompt], promptTokens, flops),
      generation: paceOf([dense.generation, pruned.generation], generatedTokens, bytes),
    };
  });
}

/** llama.cpp runs the head for the last token alone. */
function promptFlops({ architecture }: ModelSource, tokens: number): number {
  const head = native.headFlops(architecture.vocab, embeddingWidth(architecture), 1);
  return blocksFlops(architecture, tokens, tokens) + head;
}

/** Every generated token reads all blocks and the head once. */
function bytesRead({ blocks, model }: ModelSource): number {
  const head = model.head ?? model.embedding!;
  const tensors = blocks.flatMap((block) => Object.values(block));
  return tensors.reduce((sum, { bytes }) => sum + bytes, head.bytes);
}
