import type { GraphProto } from '../onnx/onnx_pb';
import type { Runtime } from './runtime';

/** What samples are made for. */
export interface Reader {
  model: string;
  graph: GraphProto;
  runtime: Runtime;
}
