/** Perplexity of a checkpoint on a text. */
import type { z } from 'zod';
import { readWindows } from './calibration/text';
import { settingsFrom } from './check';
import { withBytes, withEngine } from './engine/engine';
import type { CallOptions } from './engine/engine-options';
import { AS_IS, Session } from './engine/session';
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
 * without BOS, and cut into non-overlapping windows, a short last one dropped.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TEXT, ERR_NAN, ERR_ARGUMENT.
 */
export async function evaluate(
  model: string | ModelSource,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { text, maxTokens, measureGemm, ...settings } = settingsFrom(schema, options);
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const onProgress = withBytes(engine, options.onProgress);
    const source = await sourceOf(model, options, engine);
    const window = windowFor(source.architecture, settings.window);
    const ids = await readWindows(source, text, {
      window,
      maxTokens,
      bounded: engine.bounded,
      signal,
    });
    const { overflow: scratch } = engine;
    const session = new Session(engine, source, AS_IS, scratch);
    try {
      return await evaluateIds(session, ids, { window, scratch, measureGemm, onProgress });
    } finally {
      session.dispose();
    }
  });
}
