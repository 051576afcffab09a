/** Ops that change the size of a picture and keep its channels. */
import { type Dim, derived } from '../dims';
import type { Place } from '../op';
import type { OpKind } from './kind';
import { pinSpace, positions } from './maps';

const pool: OpKind = {
  relate(op) {
    const x = op.shaped(0, 2);
    const kernel = op.ints('kernel_shape', undefined) ?? op.refuse('its kernel is missing');
    const dims = [...x.dims.slice(0, 2), ...positions(op, x.dims.slice(2), kernel)];
    const y = op.output(dims, [
      [x, 0],
      [x, 1],
    ]);
    for (const value of [x, y]) pinSpace(op, value);
    if (op.node.output[1]) op.pinAll(op.output(dims), 'indices into all channels');
    if (op.node.output[1]) op.pin([x, 1], 'indices into all channels');
  },
};

const globalPool: OpKind = {
  relate(op) {
    const x = op.shaped(0, 2);
    op.output(
      [...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)],
      [
        [x, 0],
        [x, 1],
      ],
    );
    pinSpace(op, x);
  },
};

/** By factors, or to sizes, of all axes or of some. */
const resize: OpKind = {
  sizes: [3],
  relate(op) {
    const x = op.shaped(0);
    if (op.text('coordinate_transformation_mode', '') === 'tf_crop_and_resize')
      op.refuse('it crops');
    const rank = x.dims.length;
    const axes = op
      .ints(
        'axes',
        x.dims.map((_, i) => i),
      )
      .map((axis) => op.position(axis, rank));
    const scales = op.inputs[op.node.opType === 'Upsample' ? 1 : 2]?.content?.elements ?? [];
    const sizes = op.inputs[3]?.content?.elements ?? [];
    if (scales.length + sizes.length !== axes.length) op.refuse('its sizes are not known');
    if (op.text('keep_aspect_ratio_policy', 'stretch') !== 'stretch')
      op.refuse('it keeps the aspect ratio');
    const resized = (i: number): Dim => {
      const at = axes.indexOf(i);
      if (at < 0) return x.dims[i]!;
      if (scales.length === 0) return sizes[at]!;
      return scales[at] === 1
        ? x.dims[i]!
        : derived(`resize ${scales[at]}`, [x.dims[i]!], (size) =>
            Math.floor(size * Number(scales[at])),
          );
    };
    const dims = x.dims.map((_, i) => resized(i));
    const same = dims.map((dim, i): Place | undefined => (dim === x.dims[i] ? [x, i] : undefined));
    const y = op.output(dims, same);
    same.forEach((place, i) => {
      if (!place) for (const value of [x, y]) op.pin([value, i], 'positions in space');
    });
    if (sizes.some((size) => typeof size === 'string'))
      op.pinSizes(3, y, 'sizes that are computed');
  },
  rewrite(op, edit) {
    const y = op.outputs[0]!;
    const sizes = op.inputs[3]?.content?.elements ?? [];
    if (sizes.length === 0 || !edit.hasChanged(y)) return;
    const axes = op.ints(
      'axes',
      y.axes.map((_, i) => i),
    );
    edit.setInput(
      op,
      3,
      axes.map((axis) => edit.sizeAt(y, op.position(axis, y.axes.length))),
    );
  },
};

/** At places that the second input names. */
const gridSample: OpKind = {
  relate(op) {
    const [x, grid] = [op.shaped(0, 3), op.shaped(1, 3)];
    op.output(
      [...x.dims.slice(0, 2), ...grid.dims.slice(1, -1)],
      [
        [x, 0],
        [x, 1],
      ],
    );
    pinSpace(op, x);
    op.pinAll(grid, 'places in space');
  },
};

export const POOLING: Record<string, OpKind> = {
  AveragePool: pool,
  GlobalAveragePool: globalPool,
  GlobalLpPool: globalPool,
  GlobalMaxPool: globalPool,
  GridSample: gridSample,
  LpPool: pool,
  MaxPool: pool,
  Resize: resize,
  Upsample: resize,
};
