/** Paths that a run reads and writes, as messages name them. */
import { modelFiles, type Named } from '../checkpoint/apart';
import type { ModelSource } from '../model/architecture';
import { journalFolder } from './journal/folder';
import type { Settings } from './options';

type Texts = Pick<Settings, 'calibration' | 'eval' | 'fromCalibration'>;

export async function placesRead(source: ModelSource, settings: Texts): Promise<Named[]> {
  return [...(await modelFiles(source)), ...textsRead(settings)];
}

/** Beside the model. */
export function textsRead({ calibration, eval: evaluation, fromCalibration }: Texts): Named[] {
  return given([
    ['--calibration', calibration],
    ['--eval', evaluation],
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

function given(paths: readonly [name: string, path: string | undefined][]): Named[] {
  return paths.flatMap(([name, path]) => (path ? [[`${name} ${path}`, path] as const] : []));
}
