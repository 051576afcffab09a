import type { Command } from 'commander';
import { addFlags, type Flags, optionsFrom } from '../flags/flag';
import { print, printJson } from '../output/print';
import { runWithProgress } from '../terminal/run';
import { MODEL_HELP } from './model-argument';

/** A call of the library with a model, whose result is printed for people or as JSON. */
interface ModelCommand<Options, Result> {
  name: string;
  description: string;
  flags: Flags;
  report: (result: Result) => string;
  /** The result as JSON has it; as it is where left out. */
  json?: (result: Result) => unknown;
  /** Loads the library's call. */
  load: () => Promise<(model: string, options: Options) => Promise<Result>>;
}

export function addModelCommand<Options extends object, Result>(
  program: Command,
  {
    name,
    description,
    flags,
    report,
    json = (result) => result,
    load,
  }: ModelCommand<Options, Result>,
): void {
  const command = program
    .command(name)
    .description(description)
    .argument('<model>', MODEL_HELP)
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const call = await load();
      const options = optionsFrom<Options>(flags, parsed);
      const result = await runWithProgress(({ signal, onProgress, onNotice }) =>
        call(model, { ...options, signal, onProgress, onNotice }),
      );
      if (parsed.json) printJson(json(result));
      else print(report(result));
    });
  addFlags(command, flags);
}
