/** Perplexity of a checkpoint on a text. */
import type { z } from 'zod';
import { readWindows } from './calibration/text';
import { type CallOptions, settingsFrom, withEngine } from './engine/call';
import { withBytes } from './engine/engine';
import { AS_IS, Session } from './engine/session';
import { StruPruneError } from './errors';
import { type Evaluation, evaluateIds, windowFor } from './measure/perplexity';
import type { ModelSource } from './model/architecture';
import { EVALUATE } from './options/evaluate';
import { schemaOf } from './options/option';
import type { OnProgress } from './progress';
import { sourceOf } from './source';

const schema = schemaOf(EVALUATE);

export type EvaluateOptions = z.input<typeof schema> & CallOptions & { onProgress?: OnProgress };

/**
 * Perplexity of a checkpoint (the path of a Hugging Face folder or GGUF file, or an open model): the text is tokenised whole,
 * without BOS, and cut into non-overlapping windows, a short last one dropped. `against`: also how far it is from a dense model.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TEXT, ERR_NAN, ERR_ARGUMENT.
 */
export async function evaluate(
  model: string | ModelSource,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { text, maxTokens, measureGemm, against, ...settings } = settingsFrom(schema, options);
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const onProgress = withBytes(engine, options.onProgress);
    const source = await sourceOf(model, options, engine);
    const window = windowFor(source.architecture, settings.window);
    const limits = { window, maxTokens, bounded: engine.bounded, signal };
    const ids = await readWindows(source, text, limits);
    const { overflow: scratch } = engine;
    const denseSource = against === undefined ? null : await sourceOf(against, options, engine);
    if (denseSource) {
      requireSameIds(source, denseSource, ids, await readWindows(denseSource, text, limits));
    }
    const session = new Session(engine, source, AS_IS, scratch);
    const dense = denseSource ? new Session(engine, denseSource, AS_IS, scratch) : undefined;
    try {
      const run = { window, scratch, measureGemm, against: dense, onProgress };
      return await evaluateIds(session, ids, run);
    } finally {
      dense?.dispose();
      session.dispose();
    }
  });
}

/** @throws StruPruneError ERR_ARGUMENT */
function requireSameIds(
  { architecture }: ModelSource,
  dense: ModelSource,
  ids: Int32Array,
  denseIds: Int32Array,
): void {
  const [vocab, denseVocab] = [architecture.vocab, dense.architecture.vocab];
  const same = ids.length === denseIds.length && ids.every((id, i) => id === denseIds[i]);
  if (vocab === denseVocab && same) return;
  const found =
    vocab === denseVocab
      ? 'the two models make different tokens of the text'
      : `the models have vocabularies of ${vocab} and ${denseVocab} tokens`;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${found}, so their predictions cannot be compared`,
    'give --against the model that this one was made of',
  );
}
