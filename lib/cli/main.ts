#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { speakAsCommandLine } from '../wording';
import { createProgram } from './program';
import { report } from './terminal/failure';

speakAsCommandLine();

// The nursery of the heap would grow to 32 MiB, of whatever --memory allows, for garbage that is soon gone.
setFlagsFromString('--semi-space-growth-factor=1');

// A reader that has seen enough (`… | head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

async function main(): Promise<number> {
  const program = createProgram();
  try {
    await program.parseAsync(process.argv);
    return 0;
  } catch (error) {
    const [, , word] = process.argv;
    const known = program.commands.some((command) => command.name() === word);
    return report(error, known ? `${program.name()} ${word}` : program.name());
  }
}

main().then((code) => {
  // Not process.exit: a pipe may still be taking the output.
  process.exitCode = code;
});
