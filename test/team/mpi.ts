/** The MPIs of this machine. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Finished, PROGRAM, type RunOptions, run } from '../cli/run';

export interface Mpi {
  name: string;
  launcher: string[];
}

/** By the names that Debian gives them: both may be installed. */
const KNOWN: Mpi[] = [
  {
    name: 'Open MPI',
    launcher: ['mpirun.openmpi', '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'],
  },
  { name: 'MPICH', launcher: ['mpirun.mpich'] },
];

export const MPIS = KNOWN.filter(({ launcher }) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .some((folder) => existsSync(join(folder, launcher[0]!))),
);

/** The program on ranks, each with a command line of its own. */
export function onRanks(
  { launcher }: Mpi,
  commands: readonly (readonly string[])[],
  options: RunOptions = {},
): Promise<Finished> {
  const each = commands.flatMap((args) => [':', '-n', '1', ...PROGRAM, ...args]);
  return run(each.slice(1), { ...options, launcher });
}
