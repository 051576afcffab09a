import type { Command } from 'commander';
import type { EvaluateOptions, Evaluation } from '../../evaluate';
import { EVAL_EXTRAS, EVAL_FLAGS } from '../flags/eval';
import { evalReport } from '../output/eval-report';
import { addModelCommand } from './model-command';

export function addEval(program: Command): void {
  addModelCommand<EvaluateOptions, Evaluation>(program, {
    name: 'eval',
    description: 'Perplexity of a model on a text, with speed and memory.',
    flags: EVAL_FLAGS,
    extras: EVAL_EXTRAS,
    report: evalReport,
    load: async () => (await import('../../evaluate')).evaluate,
  });
}
