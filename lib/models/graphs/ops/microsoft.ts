/** onnxruntime's own ops, as its optimiser and its exporters for transformers write them (domain com.microsoft). */
import type { Value } from '../value';
import { alongLast, broadcast, elementwise } from './elementwise';
import type { OpKind } from './kind';
import { fusedMatMul, MAPS } from './maps';
import { normalise } from './norms';

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
  BiasGelu: elementwise,
  FastGelu: elementwise,
  FusedConv: fusedConv,
  FusedGemm: MAPS.Gemm!,
  FusedMatMul: fusedMatMul,
  Gelu: elementwise,
  QuickGelu: elementwise,
  SkipLayerNormalization: skipNorm,
  SkipSimplifiedLayerNormalization: skipNorm,
};
