import type { Command } from 'commander';
import { BENCH_FOLDER } from '../../../bench/options';
import type { BenchDocument } from '../../../documents/bench';
import { addFlags, type Flags, optionsFrom } from '../../flags/flag';
import { runWithProgress } from '../../terminal/run';
import { MODEL_HELP } from '../model-argument';
import { deliver } from './deliver';

/** A benchmark of one model. */
interface ModelBench<Options, Model extends string | undefined> {
  /** Of the command, and of the files. */
  name: string;
  description: string;
  /** As commander writes it; `<model>` when left out. */
  argument?: string;
  /** What the argument is; a checkpoint when left out. */
  help?: string;
  flags: Flags;
  report: (document: BenchDocument) => string;
  /** Loads the library's call. */
  load: () => Promise<(model: Model, options: Options) => Promise<BenchDocument>>;
}

export function addModelBench<
  Options extends { output?: string },
  Model extends string | undefined = string,
>(bench: Command, about: ModelBench<Options, Model>): void {
  const { name, description, argument = '<model>', help = MODEL_HELP, flags, report, load } = about;
  const command = bench
    .command(name)
    .description(description)
    .argument(argument, help)
    .action(async (model: Model, parsed: Record<string, unknown>) => {
      const call = await load();
      const options = optionsFrom<Options>(flags, parsed);
      const folder = options.output ?? BENCH_FOLDER;
      await deliver({ folder, name, json: parsed.json === true, report }, () =>
        runWithProgress((callbacks) => call(model, { ...options, ...callbacks })),
      );
    });
  addFlags(command, flags);
}
