import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { StruPruneError } from '../errors';
import { chooseDevice, type DeviceName, indexOf } from './gpu';
import { selftestProgram } from './native-files';

/** The program's exit code where all passed, but without cuBLAS or cuSOLVER, with which a run computes. */
const NO_LIBRARIES = 4;

/**
 * Runs the CUDA library's own tests on a GPU; their report goes to stdout.
 * @throws StruPruneError ERR_DEVICE when they are not built, cannot be run here or lack cuBLAS or cuSOLVER, or one of them fails
 */
export async function runSelftest(device: DeviceName = 'cuda:0'): Promise<void> {
  const program = selftestProgram();
  if (!existsSync(program)) {
    throw new StruPruneError(
      'ERR_DEVICE',
      `the self-test is not built (${program})`,
      'build it with npm run build:cuda in a checkout (needs GoogleTest: apt-get install libgtest-dev)',
    );
  }
  const index = indexOf(device) ?? 0;
  await chooseDevice(`cuda:${index}`);
  const code = await new Promise<number | null>((done, failed) => {
    const child = spawn(program, [String(index)], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', failed);
    child.on('close', done);
  });
  if (code === 0) return;
  if (code === NO_LIBRARIES) {
    throw new StruPruneError(
      'ERR_DEVICE',
      'cuBLAS or cuSOLVER was not found: what a run computes with was not tested',
      'have libcublas.so.13 and libcusolver.so.12 (.12 and .11 for a library that CUDA 12 made) where the loader finds them, or name them in STRUPRUNE_CUBLAS and STRUPRUNE_CUSOLVER',
    );
  }
  throw new StruPruneError(
    'ERR_DEVICE',
    'the self-test of the CUDA library failed',
    'see what it printed',
  );
}
