import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { AnswerOptions } from '../../generate';
import { printable } from '../../printable';
import type { Message } from '../../tokenizer';
import { FLAGS } from '../flags';
import { addFlags, optionsFrom } from '../flags/flag';
import { tell } from '../output/print';
import { Interruption, interruptible } from '../terminal/interrupt';
import { runWithProgress } from '../terminal/run';
import { MODEL_HELP } from './model-argument';

export function addChat(program: Command): void {
  const command = program
    .command('chat')
    .description('A conversation with a model, for a look at it; /quit ends it, Ctrl-C an answer.')
    .argument('<model>', MODEL_HELP)
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { answer } = await import('../../generate');
      const { openModel } = await import('../../source');
      const { Engine } = await import('../../engine/engine');
      const { maxTokens, ...machine } = optionsFrom<AnswerOptions>(FLAGS.chat, parsed);
      const source = await runWithProgress((calls) => openModel(model, calls));
      const engine = new Engine({ ...machine, onNotice: tell });
      try {
        await interruptible((signal) =>
          converse(signal, (messages, more) =>
            answer(source, messages, { maxTokens, engine, ...more }),
          ),
        );
      } finally {
        await engine.dispose();
      }
    });
  addFlags(command, FLAGS.chat);
}

type Answer = (
  messages: Message[],
  more: Pick<AnswerOptions, 'onText' | 'signal'>,
) => Promise<unknown>;

/** A line of stdin is a message, and its answer goes to stdout while it is made. */
async function converse(signal: AbortSignal, answer: Answer): Promise<void> {
  const isTerminal = process.stdin.isTTY === true;
  const output = isTerminal ? process.stderr : undefined;
  const lines = createInterface({ input: process.stdin, output, prompt: '> ' });
  const messages: Message[] = [];
  let current: AbortController | null = null;
  const close = () => lines.close();
  // On a terminal readline has Ctrl-C.
  lines.on('SIGINT', () => (current ? current.abort(new Interruption('SIGINT')) : close()));
  signal.addEventListener('abort', close);
  const ask = () => isTerminal && lines.prompt();
  ask();
  for await (const line of lines) {
    if (line.trim() === '/quit') break;
    if (line.trim() !== '') {
      messages.push({ role: 'user', content: line });
      current = new AbortController();
      const stop = AbortSignal.any([signal, current.signal]);
      messages.push({ role: 'assistant', content: await streamed(messages, answer, stop) });
      current = null;
    }
    signal.throwIfAborted();
    ask();
  }
  signal.throwIfAborted();
}

/** The answer, or what there was of it when it was stopped. */
async function streamed(messages: Message[], answer: Answer, signal: AbortSignal): Promise<string> {
  let said = '';
  const onText = (text: string) => {
    // What was decoded in part may become another text.
    const more = text.startsWith(said) ? text.slice(said.length) : `\n${text}`;
    process.stdout.write(printable(more));
    said = text;
  };
  try {
    await answer(messages, { signal, onText });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  process.stdout.write('\n');
  return said;
}
