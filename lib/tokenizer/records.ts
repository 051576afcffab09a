/** Texts out of JSONL as data sets have it: a JSON object a line, with `text`, `messages`, or `prompt` and `completion`. */
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import type { Message, RenderChat } from './chat';
import { readText } from './text';

/** Between two texts that no template ends. */
const BETWEEN = '\n\n';

/** By its name. */
export function isRecords(path: string): boolean {
  return /\.(jsonl|ndjson)$/i.test(path);
}

/**
 * Yields the text of every record; `chat` is asked for once there are messages.
 * @throws StruPruneError ERR_TEXT naming the line of what is no such record; ERR_NOT_FOUND, and what `chat` throws
 */
export function* readRecords(path: string, chat: () => RenderChat): Generator<string, void> {
  let render: RenderChat | undefined;
  const renderer: RenderChat = (messages) => {
    render ??= chat();
    return render(messages);
  };
  yield* eachLine(path, (record) => textOf(record, renderer));
}

/**
 * Yields what `read` makes of the JSON of every line; empty ones are skipped.
 * @throws StruPruneError ERR_TEXT of `read` with the line, or for what is no JSON; ERR_NOT_FOUND
 */
export function* eachLine<T>(path: string, read: (record: unknown) => T): Generator<T, void> {
  let number = 0;
  for (const line of linesOf(readText(path))) {
    number++;
    if (line.trim() === '') continue;
    try {
      yield read(JSON.parse(line));
    } catch (error) {
      if (error instanceof StruPruneError && error.code !== 'ERR_TEXT') throw error;
      throw refused(path, number, error);
    }
  }
}

/** Texts as records with `text` have them. */
export function* recordsOf(texts: Iterable<string>): Generator<string, void> {
  for (const text of texts) yield text.replace(/\r\n?/g, '\n') + BETWEEN;
}

/** @throws StruPruneError ERR_TEXT */
function textOf(record: unknown, render: RenderChat): string {
  if (isObject(record)) {
    const { text, messages, prompt, completion } = record;
    if (typeof text === 'string') return text + BETWEEN;
    if (isConversation(messages)) return render(messages);
    if (isConversation(prompt) && isConversation(completion))
      return render([...prompt, ...completion]);
    if (typeof prompt === 'string' && typeof completion === 'string') {
      return prompt + completion + BETWEEN;
    }
  }
  throw new StruPruneError(
    'ERR_TEXT',
    'has none of text, messages, and prompt with completion',
    'give an object with one of these a line, or prose in a file that does not end in .jsonl',
  );
}

function isConversation(value: unknown): value is Message[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((message) => isObject(message) && typeof message.role === 'string')
  );
}

function* linesOf(blocks: Iterable<string>): Generator<string, void> {
  let rest = '';
  for (const block of blocks) {
    const lines = (rest + block).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  yield rest;
}

function refused(path: string, line: number, error: unknown): StruPruneError {
  const where = `${path}, line ${line}`;
  if (error instanceof StruPruneError) {
    return new StruPruneError('ERR_TEXT', `${where}: ${error.found}`, error.mend, { cause: error });
  }
  return new StruPruneError('ERR_TEXT', `${where} is no JSON`, 'give a JSON object a line', {
    cause: error,
  });
}
