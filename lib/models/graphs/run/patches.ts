/** Where the patches under a kernel lie. */
import { elements } from '../../../model/axes';
import type { Windows } from '../ops/maps';

/** `[output positions, kernel]`: where in space of those sizes each element is read; -1: it is padded. */
export type PlacesOf = (dims: readonly number[]) => Int32Array;

interface Patches extends Windows {
  kernel: readonly number[];
}

/** Of a map without a kernel: every position by itself. */
export const inOrder: PlacesOf = (dims) => Int32Array.from({ length: elements(dims) }, (_, i) => i);

/** Found once as long as the sizes stay. */
export function placing(windows: Patches): PlacesOf {
  let known = '';
  let places = new Int32Array();
  return (dims) => {
    if (String(dims) !== known) places = placesIn(dims, windows);
    known = String(dims);
    return places;
  };
}

function placesIn(dims: readonly number[], windows: Patches) {
  let places = [0];
  let kernels = 1;
  dims.forEach((size, axis) => {
    const length = windows.kernel[axis]!;
    const starts = startsOf(size, axis, windows);
    const next: number[] = [];
    for (let outer = 0; outer < places.length; outer += kernels) {
      for (const start of starts) {
        for (let k = 0; k < kernels; k++) {
          for (let j = 0; j < length; j++) {
            const at = start + j * windows.dilations[axis]!;
            const inside = places[outer + k]! >= 0 && at >= 0 && at < size;
            next.push(inside ? places[outer + k]! * size + at : -1);
          }
        }
      }
    }
    places = next;
    kernels *= length;
  });
  return Int32Array.from(places);
}

/** Where the windows along an axis begin; below 0 in the padding. */
function startsOf(size: number, axis: number, windows: Patches): number[] {
  const { kernel, strides, dilations, pads, auto } = windows;
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
