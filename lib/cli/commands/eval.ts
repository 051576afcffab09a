import type { Command } from 'commander';
import type { EvaluateOptions } from '../../evaluate';
import type { Evaluation } from '../../measure/perplexity';
import { FLAGS } from '../flags';
import { evalReport } from '../output/eval-report';
import { addModelCommand } from './model-command';

export function addEval(program: Command): void {
  addModelCommand<EvaluateOptions, Evaluation>(program, {
    name: 'eval',
    description: 'Perplexity of a model on a text, with speed and memory.',
    flags: FLAGS.eval,
    report: evalReport,
    load: async () => (await import('../../evaluate')).evaluate,
  });
}
