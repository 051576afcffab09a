/** Ops that compute across an axis: norms, reductions, softmax. */
import type { Dim } from '../dims';
import { at, type Op } from '../op';
import type { Value } from '../value';
import { alongLast } from './elementwise';
import type { OpKind } from './kind';
import { axesOf, except } from './layout';

const AVERAGES = 'averages over it';

function alike(op: Op, x: Value): Value {
  return op.output(x.dims!, except(x));
}

/** The same for each channel by itself: scale, bias and, of a batch norm, mean and variance. */
const channelNorm: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const y = alike(op, x);
    for (const value of op.inputs.slice(1)) if (value) op.join([value, 0], [y, 1]);
    if (op.node.opType === 'InstanceNormalization') {
      for (let i = 2; i < x.axes.length; i++) op.mix([x, i], AVERAGES);
    }
  },
};

/** Over the last axes, from `axis` on. */
export function normalise(op: Op, x: Value, axis: number, settings: (Value | undefined)[]): void {
  const y = alike(op, x);
  for (let i = axis; i < x.axes.length; i++) op.mix([y, i], AVERAGES);
  for (const value of settings) if (value) alongLast(op, value, y);
}

const layerNorm: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const axis = op.position(op.int('axis', -1), x.axes.length);
    normalise(op, x, axis, op.inputs.slice(1));
    const reduced = x.dims.map((dim, i) => (i < axis ? dim : 1));
    while (op.outputs.length < op.node.output.length) {
      op.output(reduced, except(x, ...x.axes.map((_, i) => i).filter((i) => i >= axis)));
    }
  },
};

const groupNorm: OpKind = {
  relate(op) {
    const [x, scale, bias] = [op.shaped(0, 2), op.shaped(1, 1), op.shaped(2, 1)];
    const y = alike(op, x);
    const groups = op.int('num_groups', 1);
    op.axes.groups = op.axis(groups);
    const inner = op.axis(Number(x.dims[1]) / groups);
    op.factor(at([y, 1]), [op.axes.groups, inner]);
    op.mixAxis(inner, AVERAGES);
    for (const value of [scale, bias]) {
      if (op.opset < 21) op.joinAxes(at([value, 0]), op.axes.groups);
      else op.join([value, 0], [y, 1]);
    }
  },
  rewrite(op, edit) {
    edit.setSize(op, 'num_groups', op.axes.groups);
  },
};

const reduce: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const all = x.dims.map((_, i) => i);
    const given = axesOf(op, x.dims.length);
    const isNone = (given?.length ?? 0) === 0;
    const axes = isNone ? (op.int('noop_with_empty_axes', 0) ? [] : all) : given!;
    for (const axis of axes) op.mix([x, axis], AVERAGES);
    if (op.int('keepdims', 1)) {
      const dims = x.dims.map((dim, i): Dim => (axes.includes(i) ? 1 : dim));
      op.output(dims, except(x, ...axes));
    } else {
      const kept = all.filter((i) => !axes.includes(i));
      op.output(
        kept.map((i) => x.dims[i]!),
        kept.map((i) => [x, i]),
      );
    }
  },
};

const softmax: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const y = alike(op, x);
    const isFlat = op.opset < 13;
    const axis = op.position(op.int('axis', isFlat ? 1 : -1), x.axes.length);
    const last = isFlat ? x.axes.length : axis + 1;
    for (let i = axis; i < last; i++) op.mix([y, i], 'weighs it against the others');
  },
};

const lpNorm: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    op.mix([alike(op, x), op.position(op.int('axis', -1), x.axes.length)], AVERAGES);
  },
};

/** Of each channel and its neighbours. */
const localNorm: OpKind = {
  relate(op) {
    op.mix([alike(op, op.shaped(0, 2)), 1], AVERAGES);
  },
};

export const NORMS: Record<string, OpKind> = {
  BatchNormalization: channelNorm,
  GroupNormalization: groupNorm,
  Hardmax: softmax,
  InstanceNormalization: channelNorm,
  LRN: localNorm,
  LayerNormalization: layerNorm,
  LogSoftmax: softmax,
  LpNormalization: lpNorm,
  RMSNormalization: layerNorm,
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceLogSum: reduce,
  ReduceLogSumExp: reduce,
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  SimplifiedLayerNormalization: layerNorm,
  Softmax: softmax,
};
