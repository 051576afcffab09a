/** The options of generate() and answer(). */
import { count, on, text } from './kinds';
import { declare, like } from './option';

export const GENERATE = declare(
  { group: 'Generation' },
  {
    prompt: { takes: text, help: 'what the model goes on from', required: true, changes: 'run' },
    chat: {
      takes: on,
      help: "the prompt is a user's message, by the model's own chat template",
      default: false,
      changes: 'run',
    },
    maxTokens: {
      takes: count,
      help: 'write so many tokens at most',
      default: 64,
      changes: 'run',
    },
  },
);

export const ANSWER = declare(
  { group: 'Generation' },
  {
    maxTokens: like(GENERATE.maxTokens, { help: 'so many tokens an answer at most', default: 256 }),
  },
);
