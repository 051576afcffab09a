#!/usr/bin/env node
import './terminal/nursery';

import { StruPruneError } from '../errors';
import { speakAsCommandLine } from '../wording';
import { runCommandLine } from './command-line';
import { createProgram } from './program';
import { report } from './terminal/failure';

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

runCommandLine(process.argv.slice(2)).then((code) => {
  // Not process.exit: a pipe may still be taking the output.
  process.exitCode = code;
});
