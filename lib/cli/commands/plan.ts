import type { Command } from 'commander';
import { StruPruneError } from '../../errors';
import { MIB, wholeMebibytes } from '../../numbers';
import type { Plan, PlanOptions } from '../../plan';
import { FLAGS } from '../flags';
import { addFlags, optionsFrom } from '../flags/flag';
import { planReport } from '../output/plan-report';
import { print, printJson, tell } from '../output/print';
import { runWithProgress } from '../terminal/run';
import { takeKeepBias } from './keep-bias';
import { MODEL_HELP } from './model-argument';

/** Flags of prune that change nothing here: taken, so that a command of prune can be planned as it stands, but not listed. */
const UNLISTED = ['force', 'resume', 'samples', 'report'];

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .description('Memory, scratch, disk and time that prune would need; reads no weights.')
    .argument('<model>', MODEL_HELP)
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { plan } = await import('../../plan');
      const notices: string[] = [];
      const onNotice = (text: string) => notices.push(text);
      const options = optionsFrom<PlanOptions>(FLAGS.plan, parsed);
      const result = await runWithProgress(({ signal, onProgress }) =>
        plan(model, { ...options, signal, onProgress, onNotice }),
      );
      for (const text of notices) tell(text);
      if (parsed.json) printJson(result);
      else print(planReport(result));
      if (!result.fits) throw tooLittle(result, options.memory!);
    });
  addFlags(command, FLAGS.plan);
  takeKeepBias(command);
  for (const option of command.options) {
    if (UNLISTED.includes(option.attributeName())) option.hideHelp();
  }
}

/** The plan is printed all the same: it says where the memory goes. */
function tooLittle({ memory, smallestMemory }: Plan, limit: number): StruPruneError {
  return new StruPruneError(
    'ERR_BUDGET',
    `prune would refuse it: it needs ${wholeMebibytes(memory)} MiB, the budget is ${Math.floor(limit / MIB)} MiB`,
    `raise --memory to ${wholeMebibytes(smallestMemory)}MiB or more`,
  );
}
