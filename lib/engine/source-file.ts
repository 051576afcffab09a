import type { FileHandle } from './handles';
import { native } from './native';
import { Owned } from './owned';

/** An open file, of which pieces are copied. @throws ERR_NOT_FOUND */
export class SourceFile extends Owned<FileHandle> {
  constructor(path: string) {
    super(native.openFile(path));
  }

  /** All of them, or none. */
  static openAll(paths: readonly string[]): SourceFile[] {
    const files: SourceFile[] = [];
    try {
      for (const path of paths) files.push(new SourceFile(path));
      return files;
    } catch (error) {
      for (const file of files) file[Symbol.dispose]();
      throw error;
    }
  }
}
