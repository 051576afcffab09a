/** What a run over a graph writes: one file, or the folder that it belongs to. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AtomicFolder, orAbort } from '../../../checkpoint/atomic';
import type { OutputFile } from '../../../checkpoint/copied-files';
import { asOutput } from '../../../checkpoint/output-error';
import { exists, requireReplaceable, sync, WORK_NAMES } from '../../../checkpoint/output-path';
import type { Output } from '../../front-end';
import { dataPath, type OnnxFile } from '../onnx/file';
import { type Beside, writtenBeside } from './beside';

export interface Target {
  output: string;
  force: boolean;
  /** The journal's folder. */
  work: string;
  /** null: the graph alone is written. */
  beside: Beside | null;
}

/** Writes the graph as it is now, under a name that nobody sees yet. Nothing else may lie in the run's folder any more. @throws StruPruneError ERR_OUTPUT */
export function writeGraph(file: OnnxFile, target: Target): Promise<Output> {
  const { beside } = target;
  return beside ? writeFolder(file, target, beside) : writeAlone(file, target);
}

async function writeAlone(file: OnnxFile, { output, force, work }: Target): Promise<Output> {
  const folder = join(work, WORK_NAMES.output);
  const target = resolve(output);
  const path = join(folder, basename(target));
  return asOutput(target, async () => {
    await file.write(path, { replace: true });
    return {
      path,
      commit: () => asOutput(target, () => moveInto(path, target, force)),
      abort: () => rm(folder, { recursive: true, force: true }),
    };
  });
}

/** With its external data, which come first. */
async function moveInto(path: string, target: string, replace: boolean): Promise<void> {
  for (const nameOf of [dataPath, (model: string) => model]) {
    if (!(await exists(nameOf(path)))) continue;
    await requireReplaceable(nameOf(target), 'file', { replace });
    await rename(nameOf(path), nameOf(target));
  }
  await sync(dirname(target));
}

async function writeFolder(
  file: OnnxFile,
  { output, force, work }: Target,
  beside: Beside,
): Promise<Output> {
  // Graphs that ran lie where the new folder goes.
  await rm(join(work, WORK_NAMES.output), { recursive: true, force: true });
  const folder = await AtomicFolder.create(output, { replace: force, work });
  const put = async (files: readonly OutputFile[]) => {
    for (const { name, text } of files) {
      const path = join(folder.path, name);
      await asOutput(folder.target, async () => {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text);
      });
    }
  };
  return orAbort(folder, async () => {
    const path = join(folder.path, beside.name);
    await file.write(path);
    await put(writtenBeside(beside, await exists(dataPath(path))));
    return {
      path,
      commit: (extra) =>
        orAbort(folder, async () => {
          await put(extra);
          await folder.commit();
        }),
      abort: () => folder.abort(),
    };
  });
}
