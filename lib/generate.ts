/** What a checkpoint writes and answers, for a look at what pruning did to it. */
import type { z } from 'zod';
import { tokenizerOf } from './calibration/text';
import { type CallOptions, settingsFrom, withEngine } from './engine/call';
import { roomWithoutLimit, withBytes } from './engine/engine';
import { AS_IS, Session } from './engine/session';
import { StruPruneError } from './errors';
import { greedy } from './measure/generate';
import type { ModelSource } from './model/architecture';
import { heldPositions } from './model/yarn';
import { ANSWER, GENERATE } from './options/generate';
import { schemaOf } from './options/option';
import { type OnProgress, stageReporter } from './progress';
import { sourceOf } from './source';
import { GrowingText, inThread, type Message, type OnText } from './tokenizer';

const schema = schemaOf(GENERATE);
const answerSchema = schemaOf(ANSWER);

interface Calls extends CallOptions {
  onProgress?: OnProgress;
  /** Hears the whole text so far, again and again while it grows; under a limit on memory once, at its end. */
  onText?: OnText;
}

export type GenerateOptions = z.input<typeof schema> & Calls;
export type AnswerOptions = z.input<typeof answerSchema> & Calls;

export interface Generated {
  text: string;
  /** Token ids of it. */
  tokens: number[];
  /** How many tokens the prompt has. */
  promptTokens: number;
  seconds: number;
}

/**
 * The likeliest continuation of a prompt (greedy; a checkpoint as in evaluate()), up to the token that ends a text. BOS stands
 * first where transformers puts it. There is no cache of keys and values: runtimes are made for this, and faster.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TOKENIZER (`chat`: no template), ERR_TEXT, ERR_ARGUMENT.
 */
export async function generate(
  model: string | ModelSource,
  { onText, ...options }: GenerateOptions,
): Promise<Generated> {
  const { prompt, chat, maxTokens } = settingsFrom(schema, options);
  const asked = chat ? [{ role: 'user', content: prompt }] : prompt;
  return written(model, asked, maxTokens, { ...options, onText });
}

/**
 * The next message of a conversation, by the model's own chat template; as generate() in all else.
 * @param messages the last of them is the user's
 */
export async function answer(
  model: string | ModelSource,
  messages: readonly Message[],
  { onText, ...options }: AnswerOptions = {},
): Promise<Generated> {
  const { maxTokens } = settingsFrom(answerSchema, options);
  return written(model, [...messages], maxTokens, { ...options, onText });
}

async function written(
  model: string | ModelSource,
  prompt: string | Message[],
  maxTokens: number,
  options: Calls,
): Promise<Generated> {
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const onProgress = withBytes(engine, options.onProgress);
    const source = await sourceOf(model, options, engine);
    const tokenizer = tokenizerOf(source);
    const asked = await inThread('prompt', { source: tokenizer, prompt }, signal);
    const room = heldPositions(source.architecture) - asked.ids.length;
    if (room < maxTokens) throw tooLong(asked.ids.length, maxTokens, source);
    const report = stageReporter(onProgress, 'sample', maxTokens);
    const session = new Session(engine, source, AS_IS, engine.overflow);
    const textOf = async (ids: number[]) => {
      const [text] = await inThread('texts', { source: tokenizer, ids: [ids] }, signal);
      return text!;
    };
    const onText = options.onText && engine.listeners.hear(options.onText);
    // Under a budget nothing is decoded beside a pass.
    const texts = onText && !engine.bounded ? new GrowingText(textOf, onText) : null;
    const start = performance.now();
    try {
      const tokens = await greedy(session, asked.ids, maxTokens, {
        // Under a budget blocks do not stay: pages would give way to them.
        room: engine.bounded ? 0 : roomWithoutLimit(),
        stop: asked.end,
        onTokens: (ids) => {
          report(ids.length, `${ids.length} tokens of ${maxTokens} at most`);
          texts?.grow(ids);
        },
      });
      const seconds = (performance.now() - start) / 1000;
      await texts?.end();
      const text = await textOf(tokens);
      onText?.(text);
      return { text, tokens, promptTokens: asked.ids.length, seconds };
    } finally {
      session.dispose();
    }
  });
}

function tooLong(promptTokens: number, maxTokens: number, source: ModelSource): StruPruneError {
  const maxPositions = heldPositions(source.architecture);
  return new StruPruneError(
    'ERR_ARGUMENT',
    `a prompt of ${promptTokens} tokens and ${maxTokens} more are longer than the model's ${maxPositions} positions`,
    'give a shorter prompt or a smaller --max-tokens',
  );
}
