/**
 * Weights of a graph that has all sites cut at once, and those of a site with another cut, in a file: of sites that are read by the
 * same maps each has its share in them, and memory has no room for the weights of all.
 */
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { outputError } from '../../../checkpoint/output-error';
import type { OnnxFile } from '../onnx/file';
import { floatBytes, floatsIn } from '../onnx/floats';
import type { TensorProto } from '../onnx/onnx_pb';
import { FilePart, type Source } from '../onnx/source';
import { dimsOf } from '../onnx/tensor';
import type { Reader } from './readers';
import type { Refitted } from './sums';
import { bytesOf, putBytes, putRefitted, restoring, tensorsOf } from './weights';

/** Of a tensor of a site: what it becomes by either cut, where all sites in front are cut and none behind. */
interface Versions {
  tensor: TensorProto;
  isBias: boolean;
  other: Source;
  joint: Source;
}

export class JointWeights implements Disposable {
  private readonly found = new Map<number, Source[]>();
  private readonly versions = new Map<number, Versions[]>();
  private end = 0;

  /** @throws StruPruneError ERR_OUTPUT */
  constructor(
    private readonly file: OnnxFile,
    private readonly path: string,
  ) {
    this.written(() => writeFileSync(path, ''));
  }

  /** Sites with another cut, in their order. */
  get others(): number[] {
    return [...this.versions.keys()];
  }

  /** What the site's tensors become by another cut; the graph stays as it is. Nothing `refitted`: the site stays whole. */
  async putOther(
    at: number,
    readers: readonly Reader[],
    refitted: readonly Refitted[],
  ): Promise<void> {
    const tensors = tensorsOf(readers);
    const sources = await restoring(this.file, tensors, async () => {
      putRefitted(this.file, refitted);
      return tensors.map((tensor) => this.kept(tensor));
    });
    this.found.set(at, sources);
  }

  /** From here on the graph has these. */
  put(at: number, readers: readonly Reader[], refitted: readonly Refitted[]): void {
    putRefitted(this.file, refitted);
    const others = this.found.get(at);
    const biases = new Set(readers.map(({ bias }) => bias?.tensor));
    const versions = tensorsOf(readers).map((tensor, i) => {
      const joint = this.kept(tensor);
      this.file.replace(tensor, dimsOf(tensor), joint);
      return { tensor, isBias: biases.has(tensor), other: others?.[i] ?? joint, joint };
    });
    if (others) this.versions.set(at, versions);
  }

  /** Runs `work` with the other cut of this site, and those of all others as they are. */
  withOther<T>(at: number, work: () => Promise<T>): Promise<T> {
    const versions = this.versions.get(at)!;
    const tensors = versions.map(({ tensor }) => tensor);
    return restoring(this.file, tensors, () => {
      for (const version of versions) this.exchange(version);
      return work();
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true });
  }

  /** What sites behind have changed of the tensor stays changed, and what they have not goes from one version to the other. */
  private exchange({ tensor, isBias, other, joint }: Versions): void {
    const floats = (source: Source) => floatsIn(tensor.dataType, source.read(0, source.length));
    const now = floats(this.file.data(tensor));
    const [from, to] = [floats(joint), floats(other)];
    for (const [i, value] of now.entries()) {
      // Columns that have gone are zeros.
      const isGone = !isBias && (to[i] === 0 || (value === 0 && from[i] !== 0));
      if (value === from[i]) now[i] = to[i]!;
      else now[i] = isGone ? 0 : value + (to[i]! - from[i]!);
    }
    putBytes(this.file, tensor, floatBytes(tensor.dataType, now));
  }

  private kept(tensor: TensorProto): Source {
    const bytes = bytesOf(this.file, tensor);
    this.written(() => appendFileSync(this.path, bytes));
    const part = new FilePart(this.path, this.end, bytes.length);
    this.end += bytes.length;
    return part;
  }

  private written(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw outputError(this.path, error);
    }
  }
}
