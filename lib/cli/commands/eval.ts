import type { Command } from 'commander';
import { StruPruneError } from '../../errors';
import type { EvaluateOptions } from '../../evaluate';
import type { TasksOptions } from '../../evaluate-tasks';
import type { Evaluation } from '../../measure/perplexity';
import type { TaskScores } from '../../measure/tasks';
import { idleWarning } from '../../options/idle';
import { flagOf } from '../../wording';
import { FLAGS } from '../flags';
import { evalReport, tasksReport } from '../output/eval-report';
import { warn } from '../output/print';
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
        const ofText = { window, maxTokens, against };
        const given = Object.entries(ofText).filter(([, value]) => value !== undefined);
        if (text === undefined && given.length > 0) {
          const flags = given.map(([key]) => flagOf(key));
          warn(idleWarning(flags, 'without --text'));
        }
        const settings = { ...calls, ...ofText, measureGemm };
        return {
          onText: text === undefined ? null : await evaluate(model, { ...settings, text }),
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
