/** The op table: one entry an op of ONNX. What is not in it is pinned. */
import type { NodeProto } from '../onnx/onnx_pb';
import { ATTENTION, ATTENTION_BY_MICROSOFT } from './attention';
import { ELEMENTWISE } from './elementwise';
import type { OpKind } from './kind';
import { LAYOUT } from './layout';
import { MAPS } from './maps';
import { MICROSOFT } from './microsoft';
import { NORMS } from './norms';
import { PARTS } from './parts';
import { POOLING } from './pooling';
import { QUANTISED, QUANTISED_BY_MICROSOFT } from './quantised';
import { RECURRENT } from './recurrent';
import { SHAPES } from './shapes';
import { SIZES } from './sizes';

const ONNX = new Map(
  Object.entries({
    ...ATTENTION,
    ...ELEMENTWISE,
    ...LAYOUT,
    ...MAPS,
    ...NORMS,
    ...PARTS,
    ...POOLING,
    ...QUANTISED,
    ...RECURRENT,
    ...SHAPES,
    ...SIZES,
  }),
);

const DOMAINS = new Map([
  ['', ONNX],
  ['ai.onnx', ONNX],
  [
    'com.microsoft',
    new Map(Object.entries({ ...ATTENTION_BY_MICROSOFT, ...MICROSOFT, ...QUANTISED_BY_MICROSOFT })),
  ],
]);

export function kindOf(node: NodeProto): OpKind | undefined {
  return DOMAINS.get(node.domain)?.get(node.opType);
}
