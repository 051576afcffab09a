/** A map as two of lower rank: what is known of both, and of what it was. */
import type { AttributeProto, NodeProto, TensorProto } from '../onnx/onnx_pb';

/** A map of a node, before. */
export interface Whole {
  node: NodeProto;
  tensor: TensorProto;
  /** What it reads, a kernel included, or the rows of a table; and what it gives. */
  columns: number;
  out: number;
  rank: number;
  /** Its rows are outputs: it lies in the file as `[out, columns]`. */
  outFirst: boolean;
  /** What is added to what it gives, where a refit may change that. */
  bias: TensorProto | null;
}

/** A map as two. */
export interface Factored extends Pick<Whole, 'node' | 'tensor' | 'outFirst' | 'bias'> {
  /** Of the two, before something goes: the map's own. */
  rank: number;
  /** `node` reads what this one gives, or what `adds` makes of it. */
  first: NodeProto;
  adds: NodeProto | null;
  down: TensorProto;
  up: TensorProto;
  /** Added between the two. */
  between: TensorProto | null;
  /** Of `node`, before. */
  attribute: AttributeProto[];
  opType: string;
}
