/** Paths that a run reads and writes, as messages name them. */
import { resolve, sep } from 'node:path';
import { pathOf, type Text } from '../../calibration/text';
import { modelFiles, type Named } from '../../checkpoint/apart';
import { StruPruneError } from '../../errors';
import type { ModelSource } from '../../model/architecture';
import type { Settings } from '../../options';
import { journalFolder } from '../../pruning/journal/folder';

interface Texts extends Pick<Settings, 'fromCalibration'> {
  calibration: Text;
  eval?: Text;
}

export async function placesRead(source: ModelSource, settings: Texts): Promise<Named[]> {
  return [...(await modelFiles(source)), ...textsRead(settings)];
}

/** Beside the model. */
export function textsRead({ calibration, eval: evaluation, fromCalibration }: Texts): Named[] {
  return given([
    ['--calibration', pathOf(calibration)],
    ['--eval', pathOf(evaluation)],
    ['--from-calibration', fromCalibration],
  ]);
}

export function placesWritten({ output, saveCalibration }: Settings): Named[] {
  return given([
    ['the output', output],
    ['the journal', journalFolder(output)],
    ['--save-calibration', saveCalibration],
  ]);
}

/** Refuses a file that is written beside the output where it would lie in what comes or goes with the run. */
export function requireBeside(
  name: string,
  path: string,
  { output }: Pick<Settings, 'output'>,
): void {
  const wholes = [
    [resolve(output), 'the output, which appears only when it is whole'],
    [resolve(journalFolder(output)), 'the journal, which goes with the run'],
  ] as const;
  for (const [whole, what] of wholes) {
    if (resolve(path) !== whole && !resolve(path).startsWith(whole + sep)) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${name} ${path} lies in ${what}`,
      'give a path outside it',
    );
  }
}

function given(paths: readonly [name: string, path: string | undefined][]): Named[] {
  return paths.flatMap(([name, path]) => (path ? [[`${name} ${path}`, path] as const] : []));
}
