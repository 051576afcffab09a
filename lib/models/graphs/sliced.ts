/** A tensor without some positions, read off the whole one when it is asked for. */
import type { Source } from './onnx/source';

/** Parts of at least that many bytes are read one by one, shorter ones with what lies between them. */
const LONG_PART = 4096;

export class Sliced implements Source {
  readonly length: number;
  /** Bytes of a position on the last axis that is cut, with all that lies within it. */
  private readonly part: number;
  /** Positions that stay on the axes outside of a row. */
  private readonly outer: readonly (readonly number[])[];
  /** Parts of a row, which is what is read at once. */
  private readonly parts: readonly number[];
  /** Bytes of a row in the whole tensor, and of what stays of it. */
  private readonly wholeRow: number;
  private readonly row: number;

  /**
   * `kept`: of every axis the positions that stay, in order.
   * `size`: bytes of an element.
   */
  constructor(
    private readonly whole: Source,
    private readonly dims: readonly number[],
    kept: readonly (readonly number[])[],
    size: number,
  ) {
    const cut = kept.findLastIndex((positions, i) => positions.length < dims[i]!) + 1;
    this.part = dims.slice(cut).reduce((bytes, dim) => bytes * dim, size);
    const isSingle = cut === 0 || this.part >= LONG_PART;
    this.outer = kept.slice(0, isSingle ? cut : cut - 1);
    this.parts = isSingle ? [0] : kept[cut - 1]!;
    this.wholeRow = this.part * (isSingle ? 1 : dims[cut - 1]!);
    this.row = this.part * this.parts.length;
    this.length = this.outer.reduce((bytes, positions) => bytes * positions.length, this.row);
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const from = at % this.row;
      const kept = this.readRow((at - from) / this.row).subarray(from, from + length - done);
      bytes.set(kept, done);
      done += kept.length;
    }
    return bytes;
  }

  private readRow(index: number): Uint8Array {
    const whole = this.whole.read(this.startOf(index), this.wholeRow);
    if (this.wholeRow === this.part) return whole;
    const kept = new Uint8Array(this.row);
    this.parts.forEach((position, i) => {
      const start = position * this.part;
      kept.set(whole.subarray(start, start + this.part), i * this.part);
    });
    return kept;
  }

  /** Where a row begins in the whole tensor. */
  private startOf(index: number): number {
    let [rest, start, stride] = [index, 0, this.wholeRow];
    for (let axis = this.outer.length - 1; axis >= 0; axis--) {
      const positions = this.outer[axis]!;
      start += positions[rest % positions.length]! * stride;
      rest = Math.floor(rest / positions.length);
      stride *= this.dims[axis]!;
    }
    return start;
  }
}
