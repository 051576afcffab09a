/** Conversations as the text that a model was trained on, by its own chat template. */
import { Template } from '@huggingface/jinja';
import { StruPruneError } from '../errors';
import { DEFAULT_TEMPLATE, type TokenizerFiles, templatesOf } from './types';

export interface Message {
  role: string;
  content: unknown;
  [key: string]: unknown;
}

/** Takes today's date from templates, which have another where there is none: the same text is calibrated on tomorrow. */
const NO_DATE = '{% set strftime_now = nothing %}\n';

export type RenderChat = (messages: readonly Message[]) => string;

/**
 * Renders as transformers' apply_chat_template does without tools; `answer`: with what makes the model answer.
 * @throws StruPruneError ERR_TOKENIZER where there is no template, or one that cannot be read; from the call itself, ERR_TEXT
 */
export function chatRenderer(
  { tokenizerConfig, specialTokensMap }: TokenizerFiles,
  { answer = false } = {},
): RenderChat {
  const templates = templatesOf(tokenizerConfig.chat_template);
  const chosen = templates.find(({ name }) => name === DEFAULT_TEMPLATE);
  if (chosen === undefined) {
    throw new StruPruneError(
      'ERR_TOKENIZER',
      'the model has no chat template, which messages need',
      answer
        ? 'give a prompt without the template (`generate --prompt`), or put the chat_template.jinja of its family into its folder'
        : 'give records with text, or put the chat_template.jinja of its family into its folder',
    );
  }
  const template = parsed(chosen.template);
  return (messages) => {
    try {
      return template.render({ messages, add_generation_prompt: answer, ...specialTokensMap });
    } catch (cause) {
      throw new StruPruneError(
        'ERR_TEXT',
        `the chat template refuses the messages: ${(cause as Error).message}`,
        'give conversations as the model knows them',
        { cause },
      );
    }
  };
}

function parsed(text: string): Template {
  try {
    return new Template(NO_DATE + text);
  } catch (cause) {
    throw new StruPruneError(
      'ERR_TOKENIZER',
      `the model's chat template cannot be read: ${(cause as Error).message}`,
      'give records with text',
      { cause },
    );
  }
}
