import type { Command } from 'commander';
import { StruPruneError } from '../../errors';
import type { EvaluateOptions } from '../../evaluate';
import type { TasksOptions } from '../../evaluate-tasks';
import type { Evaluation } from '../../measure/perplexity';
import type { TaskScores } from '../../measure/tasks';
import { FLAGS } from '../flags';
import { evalReport, tasksReport } from '../output/eval-report';
import { addModelCommand } from './model-command';

type EvalOptions = Partial<EvaluateOptions> & Partial<TasksOptions>;

/** What was asked for. */
interface Evaluated {
  onText: Evaluation | null;
  tasks: TaskScores | null;
}

export function addEval(program: Command): void {
  addModelCommand<EvalOptions, Evaluated>(program, {
    name: 'eval',
    description: 'Perplexity of a model on a text, and its answers to questions.',
    flags: FLAGS.eval,
    report: ({ onText, tasks }) =>
      [onText && evalReport(onText), tasks && tasksReport(tasks)].filter(Boolean).join('\n\n'),
    json: ({ onText, tasks }) => ({ ...onText, ...(tasks && { tasks }) }),
    load: async () => {
      const { evaluate } = await import('../../evaluate');
      const { evaluateTasks } = await import('../../evaluate-tasks');
      return async (model, { text, tasks, window, maxTokens, measureGemm, against, ...calls }) => {
        if (text === undefined && tasks === undefined) throw nothingToMeasure();
        const settings = { window, maxTokens, measureGemm, against };
        const onText =
          text === undefined ? null : await evaluate(model, { ...calls, ...settings, text });
        return {
          onText,
          tasks: tasks === undefined ? null : await evaluateTasks(model, { ...calls, tasks }),
        };
      };
    },
  });
}

function nothingToMeasure(): StruPruneError {
  return new StruPruneError(
    'ERR_ARGUMENT',
    'there is nothing to measure on',
    'give a --text, or questions by --tasks',
  );
}
