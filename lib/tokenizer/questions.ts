/**
 * Questions out of JSONL, an object a line: `prompt` with `choices` and the index of the right one as `answer`, or `prompt` with
 * the `completion` that should follow.
 */
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import { eachLine } from './records';

export interface Question {
  prompt: string;
  /** What may follow; of a completion there is one. */
  continuations: string[];
  /** Index of the right one; null: the model has to write the only one by itself. */
  answer: number | null;
}

/** @throws StruPruneError ERR_TEXT naming the line; ERR_NOT_FOUND */
export function readQuestions(path: string): Question[] {
  const questions = linesIn(path);
  if (questions.length > 0) return questions;
  throw new StruPruneError('ERR_TEXT', `${path} has no question`, 'give one a line');
}

function linesIn(path: string): Question[] {
  try {
    return [...eachLine(path, questionOf)];
  } catch (error) {
    const notHere = error instanceof StruPruneError && error.code === 'ERR_NOT_FOUND';
    throw notHere
      ? error.with(
          "questions are a .jsonl file; lm-eval's own tasks run in lm-eval, on folders that were written",
        )
      : error;
  }
}

/** @throws StruPruneError ERR_TEXT */
function questionOf(record: unknown): Question {
  if (isObject(record) && typeof record.prompt === 'string' && record.prompt.trim() !== '') {
    const { prompt, completion } = record;
    if (typeof completion === 'string' && completion !== '') {
      return { prompt, continuations: [completion], answer: null };
    }
    const { choices, answer } = record;
    if (isChoices(choices) && Number.isInteger(answer) && choices[answer as number] !== undefined) {
      return { prompt, continuations: choices, answer: answer as number };
    }
  }
  throw new StruPruneError(
    'ERR_TEXT',
    'is no question',
    'give { "prompt": "…", "choices": ["…", "…"], "answer": 0 } or { "prompt": "…", "completion": "…" } a line',
  );
}

function isChoices(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length > 1 &&
    value.every((choice) => typeof choice === 'string' && choice.trim() !== '')
  );
}

/** What may follow a prompt, behind it; a space goes between where neither has one. */
export function joined(prompt: string, continuation: string): string {
  const apart = /\s$/.test(prompt) || /^\s/.test(continuation) ? '' : ' ';
  return prompt + apart + continuation;
}
