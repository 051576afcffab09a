import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '../package-root';
import { addBench } from './commands/bench';
import { addChat } from './commands/chat';
import { addDemo } from './commands/demo';
import { addDevices } from './commands/devices';
import { addEval } from './commands/eval';
import { addExport } from './commands/export';
import { addFormats } from './commands/formats';
import { addGenerate } from './commands/generate';
import { addPlan } from './commands/plan';
import { addPrune } from './commands/prune';

const FOOTER = `
Exit codes: 0 done, 1 fault of the program, 2 wrong arguments, 3 input, 4 output, 5 numeric failure or
failed verification, 6 memory budget, 7 native addon missing, 8 GPU not usable, 130 Ctrl-C. docs/cli.md
has all of it.`;

/** The whole program. Commands load the library when they run, so that help needs no native addon. */
export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  const program = new Command('struprune-native')
    .description(
      'Structured pruning: a real language model goes in, a smaller real model comes out.',
    )
    .version(version, '-v, --version')
    .addHelpText('after', FOOTER)
    .helpCommand(false)
    // Further words in their order: what stands behind a command is its own, flags of plain `bench` too.
    .enablePositionalOptions()
    .exitOverride()
    // Errors are thrown and printed in our own form.
    .configureOutput({ outputError: () => {} });
  addPrune(program);
  addPlan(program);
  addEval(program);
  addGenerate(program);
  addChat(program);
  addExport(program);
  addDemo(program);
  addBench(program);
  addDevices(program);
  addFormats(program);
  return program;
}
