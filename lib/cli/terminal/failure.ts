import { type Command, CommanderError } from 'commander';
import { rankOfProcess } from '../../engine/team';
import { asStruPruneError, type StruPruneError } from '../../errors';
import { oneLine, printable } from '../../printable';
import { colorsOf } from './colors';
import { EXIT_CODES, exitCodeOfSignal } from './exit-codes';
import { Interruption } from './interrupt';
import { usageError } from './usage';

/** Prints an error as one line on stderr and returns the exit code. Help and version are no errors. */
export function report(thrown: unknown, command: Command): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    // No command was given: commander has shown the help.
    if (thrown.code === 'commander.help') return EXIT_CODES.ERR_ARGUMENT;
    return report(usageError(thrown, command), command);
  }
  const error = asStruPruneError(thrown);
  // All ranks of a team end with the same one.
  if (rankOfProcess() === 0) show(error, thrown);
  if (error instanceof Interruption) return exitCodeOfSignal(error.signal);
  return EXIT_CODES[error.code];
}

function show(error: StruPruneError, thrown: unknown): void {
  const { red } = colorsOf(process.stderr);
  process.stderr.write(`${red('error:')} ${oneLine(error.message)} [${error.code}]\n`);
  if (error.code !== 'ERR_INTERNAL') return;
  process.stderr.write(
    `This is a fault of the program, please report it:\n${printable(stackOf(thrown))}\n`,
  );
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
