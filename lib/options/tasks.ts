/** The options of evaluateTasks(). */
import { file } from './kinds';
import { declare } from './option';

export const TASKS = declare(
  { group: 'Evaluation' },
  {
    tasks: {
      takes: file,
      help: 'questions as .jsonl: multiple choice, and text that should follow',
      required: true,
      changes: 'run',
    },
  },
);
