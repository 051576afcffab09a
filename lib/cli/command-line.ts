import { createProgram } from './program';
import { report } from './terminal/failure';
import { commandOf } from './terminal/usage';

/** Runs what was given behind the program's name. Returns the exit code. */
export async function runCommandLine(given: readonly string[]): Promise<number> {
  const program = createProgram();
  // `help bench quality` and `bench help quality` are `bench quality --help`.
  const at = given[0] === 'bench' ? 1 : 0;
  const words = given[at] === 'help' ? [...given.toSpliced(at, 1), '--help'] : [...given];
  let command = program;
  try {
    command = commandOf(program, words);
    await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    return report(error, command);
  }
}
