import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';
import { storageBytes } from './container';

/** A tensor that is going to be written. */
export interface OutputTensor {
  name: string;
  dtype: Dtype;
  /** Row-major, slowest first. */
  shape: number[];
}

export interface PlacedTensor extends OutputTensor {
  bytes: number;
}

/** Adds the sizes. @throws StruPruneError ERR_INTERNAL for two tensors of one name */
export function placeTensors(tensors: OutputTensor[]): PlacedTensor[] {
  const names = new Set(tensors.map(({ name }) => name));
  if (names.size !== tensors.length) {
    throw new StruPruneError('ERR_INTERNAL', 'two tensors of one name are to be written');
  }
  return tensors.map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    bytes: storageBytes(dtype, shape),
  }));
}

/**
 * Watches that chunks arrive in the promised order and size: a file whose header was written first cannot
 * be mended later.
 */
export class TensorSequence {
  private index = 0;
  private missing: number;

  constructor(private readonly tensors: readonly Pick<PlacedTensor, 'name' | 'bytes'>[]) {
    this.missing = tensors[0]?.bytes ?? 0;
    this.skipComplete();
  }

  /**
   * Takes a chunk of the current tensor.
   * @returns the tensor's index, and whether the chunk completes it
   * @throws StruPruneError ERR_INTERNAL for another tensor's chunk, or too many bytes
   */
  take(name: string, bytes: number): { index: number; complete: boolean } {
    const current = this.tensors[this.index];
    if (current?.name !== name) {
      throw new StruPruneError(
        'ERR_INTERNAL',
        `${name} is written where ${current?.name ?? 'nothing'} was to come`,
      );
    }
    if (bytes > this.missing) {
      throw new StruPruneError(
        'ERR_INTERNAL',
        `${name} is written with ${bytes - this.missing} bytes too many`,
      );
    }
    const { index } = this;
    this.missing -= bytes;
    const complete = this.missing === 0;
    this.skipComplete();
    return { index, complete };
  }

  /** @throws StruPruneError ERR_INTERNAL when bytes are missing */
  requireEnd(): void {
    const current = this.tensors[this.index];
    if (!current) return;
    throw new StruPruneError('ERR_INTERNAL', `${current.name} lacks ${this.missing} bytes`);
  }

  /** Tensors without bytes need no chunk. */
  private skipComplete(): void {
    while (this.missing === 0 && this.index < this.tensors.length) {
      this.index += 1;
      this.missing = this.tensors[this.index]?.bytes ?? 0;
    }
  }
}
