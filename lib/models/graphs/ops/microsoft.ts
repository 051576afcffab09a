/** onnxruntime's own ops, as its optimiser and its exporters for transformers write them (domain com.microsoft). */
import { quotient } from '../dims';
import type { Edit } from '../edit';
import { at, type Op, type Place } from '../op';
import type { Value } from '../value';
import { alongLast, broadcast, elementwise } from './elementwise';
import type { OpKind } from './kind';
import { fusedMatMul, MAPS } from './maps';
import { normalise } from './norms';

/** [batch, sequence, heads × size]: the axis is cut into heads, of which whole ones go. */
function cutIntoHeads(op: Op, place: Place): void {
  const [value, position] = place;
  const heads = op.int('num_heads', 1);
  const size = quotient(value.dims![position]!, heads);
  if (typeof size !== 'number') op.refuse('its heads do not divide the width');
  op.axes.heads ??= op.axis(heads);
  const inner = op.axis(size as number);
  op.pinAxis(inner, 'inside of a head');
  op.factor(at(place), [op.axes.heads, inner]);
}

function writeHeads(op: Op, edit: Edit): void {
  edit.setSize(op, 'num_heads', op.axes.heads);
}

/** Query, key and value have been projected already; a bias of all three may follow. */
const multiHeadAttention: OpKind = {
  relate(op) {
    const [query, key, value] = [op.shaped(0), op.inputs[1], op.inputs[2]];
    if (!key?.dims || !value?.dims) op.refuse('query, key and value are in one tensor');
    if ([query, key!, value!].some(({ axes }) => axes.length !== 3))
      op.refuse('its inputs are packed');
    if (op.inputs[3] || op.node.output.slice(1).some((name) => name !== '')) {
      op.refuse('it has a bias or keeps its keys');
    }
    const y = op.output(
      [...query.dims.slice(0, 2), value!.dims![2]!],
      [
        [query, 0],
        [query, 1],
      ],
    );
    for (const each of [query, key!, value!, y]) cutIntoHeads(op, [each, 2]);
    for (const other of op.inputs.slice(4)) if (other) op.pinAll(other, 'masks and past keys');
  },
  rewrite: writeHeads,
};

/** Reads [hidden, 3 × heads × size] and a bias of that width. */
const attention: OpKind = {
  relate(op) {
    const [x, w, bias] = [op.shaped(0), op.shaped(1), op.input(2)];
    if (op.has('qkv_hidden_sizes') || op.node.output.slice(1).some((name) => name !== '')) {
      op.refuse('its parts differ in width, or it keeps its keys');
    }
    const heads = op.int('num_heads', 1);
    const width = quotient(w.dims[1]!, 3) ?? op.refuse('its width does not divide by three');
    const size = quotient(width, heads);
    if (typeof size !== 'number') op.refuse('its heads do not divide the width');
    const y = op.output(
      [x.dims[0]!, x.dims[1]!, width],
      [
        [x, 0],
        [x, 1],
      ],
    );
    op.reads([w, 0], [x, 2]);
    op.axes.heads = op.axis(heads);
    const [parts, inner] = [op.axis(3), op.axis(size as number)];
    op.pinAxis(parts, 'query, key and value');
    op.pinAxis(inner, 'inside of a head');
    for (const place of [
      [w, 1],
      [bias, 0],
    ] as Place[]) {
      op.factor(at(place), [parts, op.axes.heads, inner], 1);
    }
    op.role('writes', [w, 1], [y, 2]);
    op.factor(at([y, 2]), [op.axes.heads, inner]);
    for (const other of op.inputs.slice(3)) if (other) op.pinAll(other, 'masks and past keys');
  },
  rewrite: writeHeads,
};

/** A sum, normalised; the sum itself may be the fourth output. */
const skipNorm: OpKind = {
  relate(op) {
    const [x, skip, ...settings] = [op.shaped(0), op.shaped(1), ...op.inputs.slice(2)];
    alongLast(op, skip, x);
    normalise(op, x, x.axes.length - 1, settings);
    for (const name of op.node.output.slice(1)) {
      const sum = broadcast(op, [x]);
      if (name !== '' && op.outputs.length < 4) op.pinAll(sum, 'means and variances');
    }
  },
};

/** The activation changes no axis. */
const fusedConv: OpKind = {
  ...MAPS.Conv!,
  relate(op) {
    MAPS.Conv!.relate(op);
    const added: Value | undefined = op.inputs[3];
    if (added) alongLast(op, added, op.outputs[0]!);
  },
};

export const MICROSOFT: Record<string, OpKind> = {
  Attention: attention,
  BiasGelu: elementwise,
  FastGelu: elementwise,
  FusedConv: fusedConv,
  FusedGemm: MAPS.Gemm!,
  FusedMatMul: fusedMatMul,
  Gelu: elementwise,
  MultiHeadAttention: multiHeadAttention,
  QuickGelu: elementwise,
  SkipLayerNormalization: skipNorm,
  SkipSimplifiedLayerNormalization: skipNorm,
};
