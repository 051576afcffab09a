/** Right answers of a checkpoint to questions. */
import type { z } from 'zod';
import { tokenizerOf } from './calibration/text';
import { type CallOptions, settingsFrom, withEngine } from './engine/call';
import { withBytes } from './engine/engine';
import { AS_IS, Session } from './engine/session';
import { scoreTasks, type TaskScores } from './measure/tasks';
import type { ModelSource } from './model/architecture';
import { schemaOf } from './options/option';
import { TASKS } from './options/tasks';
import type { OnProgress } from './progress';
import { sourceOf } from './source';
import { inThread } from './tokenizer';

const schema = schemaOf(TASKS);

export type TasksOptions = z.input<typeof schema> & CallOptions & { onProgress?: OnProgress };

/**
 * Asks a checkpoint (as evaluate()) the questions of a JSONL file: docs/cli.md, eval. BOS stands first where transformers puts it.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TEXT (naming the line), ERR_NAN, ERR_ARGUMENT.
 */
export async function evaluateTasks(
  model: string | ModelSource,
  options: TasksOptions,
): Promise<TaskScores> {
  const { tasks } = settingsFrom(schema, options);
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const onProgress = withBytes(engine, options.onProgress);
    const source = await sourceOf(model, options, engine);
    const job = { source: tokenizerOf(source), path: tasks };
    const questions = await inThread('questions', job, signal);
    const { overflow: scratch } = engine;
    const session = new Session(engine, source, AS_IS, scratch);
    try {
      return await scoreTasks(session, questions, { scratch, onProgress });
    } finally {
      session.dispose();
    }
  });
}
