/** Puts in the place of an If the branch that it always takes. */
import { create } from '@bufbuild/protobuf';
import { OnnxFile } from './onnx/file';
import { type GraphProto, type NodeProto, NodeProtoSchema } from './onnx/onnx_pb';
import { type Network, relate } from './relate';

/** First version of the format in which a constant need not be an input of the graph too. */
const OWN_CONSTANTS = 4n;
/** GraphProto.sparse_initializer, which the messages here do not have. */
const SPARSE_INITIALIZER = 15;

/** A graph with the branches that it always takes; `openInferred` knows more shapes. @throws StruPruneError as OnnxFile.open and relate */
export function openGraph(path: string): OnnxFile {
  const file = OnnxFile.open(path);
  try {
    takeKnownBranches(file);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** To be called before all that looks at the nodes. @throws StruPruneError as relate */
export function takeKnownBranches(file: OnnxFile): void {
  const graph = file.model.graph!;
  if (file.model.irVersion < OWN_CONSTANTS) return;
  // What a branch has inside is known when it is part of the graph.
  for (let isDone = false; !isDone; ) {
    if (!graph.node.some(isIf)) return;
    const network = relate(file);
    const names = new Set(namesIn(graph));
    const before = graph.node;
    graph.node = before.flatMap((node) => {
      const branch = isIf(node) ? branchOf(node, network) : undefined;
      return branch ? inlined(graph, node, branch, names) : node;
    });
    isDone =
      graph.node.length === before.length && graph.node.every((node, i) => node === before[i]);
  }
}

function isIf({ domain, opType }: NodeProto): boolean {
  return (domain === '' || domain === 'ai.onnx') && opType === 'If';
}

/** The one that is taken whatever the model is given. */
function branchOf(
  { input, output, attribute }: NodeProto,
  { values }: Network,
): GraphProto | undefined {
  const condition = values.get(input[0] ?? '')?.content?.elements[0];
  if (typeof condition !== 'number') return undefined;
  const name = condition === 0 ? 'else_branch' : 'then_branch';
  const branch = attribute.find((each) => each.name === name)?.g;
  if (!branch || branch.output.length < output.length) return undefined;
  return branch.$unknown?.some(({ no }) => no === SPARSE_INITIALIZER) ? undefined : branch;
}

/** The branch's nodes, with its constants in the graph; its outputs get the names of the node's. */
function inlined(
  graph: GraphProto,
  { output }: NodeProto,
  branch: GraphProto,
  names: Set<string>,
): NodeProto[] {
  const renamed = new Map<string, string>();
  for (const name of namesIn(branch)) {
    let own = name;
    for (let i = 0; names.has(own); i++) own = `${name}.branch${i}`;
    names.add(own);
    if (own !== name) renamed.set(name, own);
  }
  const now = (name: string) => renamed.get(name) ?? name;
  for (const each of [...branch.initializer, ...branch.valueInfo]) each.name = now(each.name);
  for (const node of branch.node) rename(node, now);
  graph.initializer.push(...branch.initializer);
  graph.valueInfo.push(...branch.valueInfo);
  const passed = output.flatMap((name, i) => {
    const input = [now(branch.output[i]!.name)];
    return name === ''
      ? []
      : create(NodeProtoSchema, { opType: 'Identity', input, output: [name] });
  });
  return [...branch.node, ...passed];
}

function rename(node: NodeProto, now: (name: string) => string): void {
  node.input = node.input.map(now);
  node.output = node.output.map(now);
  for (const { g, graphs } of node.attribute) {
    for (const inner of g ? [g, ...graphs] : graphs) {
      // Names that the inner graph has itself are no others', as names are made once.
      const own = new Set(namesIn(inner));
      const outer = (name: string) => (own.has(name) ? name : now(name));
      for (const each of inner.node) rename(each, outer);
      for (const each of inner.output) each.name = outer(each.name);
    }
  }
}

/** Names that a graph gives. */
function namesIn({ input, initializer, node }: GraphProto): string[] {
  const given = [...input, ...initializer].map(({ name }) => name);
  return [...given, ...node.flatMap(({ output }) => output)].filter((name) => name !== '');
}
