#!/usr/bin/env node
import './terminal/nursery';

import { StruPruneError } from '../errors';
import { speakAsCommandLine } from '../wording';
import { createProgram } from './program';
import { report } from './terminal/failure';
import { commandOf } from './terminal/usage';

speakAsCommandLine();

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`… | head`) is no failure of ours, and what else is to be written, a report, is.
  if (error.code === 'EPIPE') return;
  const what = `the result cannot be written: ${error.message}`;
  const mend = 'give stdout a place that takes it';
  process.exit(report(new StruPruneError('ERR_OUTPUT', what, mend), createProgram()));
});
// A terminal that has gone takes no more words; the work goes on, or is cleared up after the SIGHUP.
process.stderr.on('error', () => {});

async function main(): Promise<number> {
  const program = createProgram();
  const given = process.argv.slice(2);
  // `help bench quality` and `bench help quality` are `bench quality --help`.
  const at = given[0] === 'bench' ? 1 : 0;
  const words = given[at] === 'help' ? [...given.toSpliced(at, 1), '--help'] : given;
  let command = program;
  try {
    command = commandOf(program, words);
    await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    return report(error, command);
  }
}

main().then((code) => {
  // Not process.exit: a pipe may still be taking the output.
  process.exitCode = code;
});
