import type { Command } from 'commander';
import type { Generated, GenerateOptions } from '../../generate';
import { FLAGS } from '../flags';
import { addModelCommand } from './model-command';

export function addGenerate(program: Command): void {
  addModelCommand<GenerateOptions, Generated>(program, {
    name: 'generate',
    description: 'What a model writes: the likeliest continuation of a prompt.',
    flags: FLAGS.generate,
    report: ({ text }) => text,
    load: async () => (await import('../../generate')).generate,
  });
}
