/** What samples are kept in: files that go with their last reader. */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StruPruneError } from '../../../errors';
import { FileSource } from '../onnx/source';

/** Files in a folder of their own, which is gone when this is disposed of; sources that were taken stay. */
export class ScratchFiles implements AsyncDisposable {
  private readonly files = new Map<string, FileHandle>();

  private constructor(
    private readonly scratch: string,
    private readonly folder: string,
  ) {}

  /** @throws StruPruneError ERR_SCRATCH */
  static async open(scratch: string): Promise<ScratchFiles> {
    const folder = await mkdtemp(join(scratch, 'struprune-samples-')).catch((cause: Error) => {
      throw refused(scratch, cause);
    });
    return new ScratchFiles(scratch, folder);
  }

  /** @throws StruPruneError ERR_SCRATCH */
  async append(name: string, bytes: Uint8Array): Promise<void> {
    try {
      const file = this.files.get(name) ?? (await open(join(this.folder, name), 'wx', 0o600));
      this.files.set(name, file);
      await file.appendFile(bytes);
    } catch (cause) {
      throw refused(this.scratch, cause as Error);
    }
  }

  source(name: string): FileSource {
    return new FileSource(join(this.folder, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.files.values()) await file.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function refused(scratch: string, cause: Error): StruPruneError {
  return new StruPruneError(
    'ERR_SCRATCH',
    `samples cannot be kept in ${scratch}: ${cause.message}`,
    'free some space, or name another folder with --scratch',
    { cause },
  );
}
