/** Where rows of a reader lie, patches under a kernel among them. */
import { elements } from '../../../model/axes';
import type { Dim } from '../dims';
import type { NodeProto } from '../onnx/onnx_pb';
import type { Windows } from '../ops/maps';

/** `[output positions, kernel]`: where in space of those sizes each element is read; -1: it is padded. */
export type PlacesOf = (dims: readonly number[]) => Int32Array;

/** Where a reader's rows come from. */
export interface ReaderUse {
  /** The activation, the axis that is read and its position there of the map's position 0. */
  activation: string;
  axis: number;
  channel: number;
  places: PlacesOf;
  /** Of the axes in front which rows are read, one after the other; −1: zeros. All in order where left out. */
  outer?: PlacesOf;
  /** Set where the activation is none of the graph's own. */
  made?: Made;
}

/** A value that nodes of this program compute, behind a node of the graph. */
export interface Made {
  activation: string;
  behind: NodeProto;
  nodes: readonly NodeProto[];
}

/** Along an axis of a size: of each output position where every element of the kernel reads it; −1: nothing. */
type Along = (size: number, axis: number) => number[][];

/** Of a map without a kernel: every position by itself. */
export const inOrder: PlacesOf = (dims) => Int32Array.from({ length: elements(dims) }, (_, i) => i);

/** Of a convolution. */
export function placing(windows: Windows, kernel: readonly number[]): PlacesOf {
  return remembering((size, axis) => {
    const [length, dilation] = [kernel[axis]!, windows.dilations[axis]!];
    return startsOf(size, axis, windows, kernel).map((start) =>
      Array.from({ length }, (_, k) => inside(start + k * dilation, size)),
    );
  });
}

/** Of a transposed one, whose output has `grown` positions: element k of the kernel adds to a stride's step plus k. */
export function placingTransposed(
  { strides, dilations, pads }: Windows,
  kernel: readonly number[],
  grown: (sizes: readonly number[]) => Dim[],
): PlacesOf {
  return remembering((size, axis) => {
    const [length, stride, dilation] = [kernel[axis]!, strides[axis]!, dilations[axis]!];
    const sizes = kernel.map(() => size);
    return Array.from({ length: Number(grown(sizes)[axis]) }, (_, to) =>
      Array.from({ length }, (_, k) => {
        const steps = to + pads[axis]![0] - k * dilation;
        return steps % stride === 0 ? inside(steps / stride, size) : -1;
      }),
    );
  });
}

function inside(at: number, size: number): number {
  return at >= 0 && at < size ? at : -1;
}

/** Found once as long as the sizes stay. */
function remembering(along: Along): PlacesOf {
  let known = '';
  let places = new Int32Array();
  return (dims) => {
    if (String(dims) !== known) places = placesIn(dims, along);
    known = String(dims);
    return places;
  };
}

function placesIn(dims: readonly number[], along: Along) {
  let places = [0];
  let kernels = 1;
  dims.forEach((size, axis) => {
    const windows = along(size, axis);
    const next: number[] = [];
    for (let outer = 0; outer < places.length; outer += kernels) {
      for (const window of windows) {
        for (let k = 0; k < kernels; k++) {
          const before = places[outer + k]!;
          for (const at of window) next.push(before < 0 || at < 0 ? -1 : before * size + at);
        }
      }
    }
    places = next;
    kernels *= windows[0]?.length ?? 1;
  });
  return Int32Array.from(places);
}

/** Where the windows along an axis begin; below 0 in the padding. */
function startsOf(
  size: number,
  axis: number,
  windows: Windows,
  kernel: readonly number[],
): number[] {
  const { strides, dilations, pads, auto } = windows;
  const stride = strides[axis]!;
  const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
  let [before, after] = pads[axis]!;
  if (auto.startsWith('SAME')) {
    const padding = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
    before = auto === 'SAME_LOWER' ? Math.ceil(padding / 2) : Math.floor(padding / 2);
    after = padding - before;
  }
  const count = Math.floor((size + before + after - reach) / stride) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => i * stride - before);
}
