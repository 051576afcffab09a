/** Where a graph is cut into segments, which run one after the other: what lies on a cut is stored. */
import { elements } from '../../../model/axes';
import type { NodeProto } from '../onnx/onnx_pb';
import { captured, type Network } from '../relate';

export interface Segment {
  /** Constants are among them wherever they stand. */
  nodes: readonly NodeProto[];
  /** What its nodes compute, constants left out. */
  made: ReadonlySet<string>;
  /** What lies on the cut behind it: read later, or an output of the graph. */
  live: ReadonlySet<string>;
}

interface Life {
  /** Place of the node that makes it. */
  made: number;
  /** One behind that of the last node that reads it. */
  read: number;
  /** Known to be a tensor, which can be stored. */
  isTensor: boolean;
}

/** Weights that segments may have together to run as one. */
const TOGETHER = 1 << 24;

/** Segments of a block: trials have the same sessions for the blocks behind their own. */
const BLOCK = 64;

/**
 * Segments of a graph, one more than cuts. Before each of `wanted` (places of nodes, ascending) there is a cut where the fewest
 * values lie, behind the cut before it.
 */
export class Segments {
  /** Where each segment begins, and the end of the last. */
  private readonly bounds: readonly number[];
  private readonly lives: ReadonlyMap<string, Life>;
  private readonly isConstant: readonly boolean[];

  constructor(
    private readonly network: Network,
    wanted: readonly number[],
  ) {
    const { node } = network.graph;
    this.lives = livesOf(network);
    this.bounds = [0, ...cutsOf([...this.lives.values()], node.length, wanted), node.length];
    this.isConstant = node.map(({ output }) => output.every((name) => !this.lives.has(name)));
  }

  /** The last segment that begins at that node or in front of it. */
  before(place: number): number {
    return this.bounds.slice(0, -1).findLastIndex((start) => start <= place);
  }

  /** Where to end so that segments from that one on run as one: memory follows their weights. */
  together(first: number): number {
    let end = first + 1;
    for (let weights = this.weightsIn(first); end < this.bounds.length - 1; end++) {
      weights += this.weightsIn(end);
      if (weights > TOGETHER) break;
    }
    return end;
  }

  /** The same, but no further than the end of the block that the segment is in. */
  inBlock(first: number): number {
    return Math.min(this.together(first), (Math.floor(first / BLOCK) + 1) * BLOCK);
  }

  /** Whether all of them may run as one. */
  get isSmall(): boolean {
    return this.together(0) === this.bounds.length - 1;
  }

  /** The segments from `first` on and before `end` as one. */
  joined(first: number, end = first + 1): Segment {
    const [start, stop] = [this.bounds[first]!, this.bounds[end]!];
    const isInside = (place: number) => place >= start && place < stop;
    const { node } = this.network.graph;
    return {
      nodes: node.filter((_, place) => this.isConstant[place] || isInside(place)),
      made: this.valuesThat(({ made }) => isInside(made)),
      live: this.valuesThat(({ made, read }) => made < stop && read > stop),
    };
  }

  private weightsIn(segment: number): number {
    const { graph, values } = this.network;
    const nodes = graph.node.slice(this.bounds[segment], this.bounds[segment + 1]);
    const constants = nodes.flatMap(({ input }) => input).flatMap((name) => values.get(name) ?? []);
    return constants
      .filter(({ constant, dims }) => constant && dims)
      .reduce((sum, { dims }) => sum + elements(dims!.map(Number)), 0);
  }

  private valuesThat(holds: (life: Life) => boolean): Set<string> {
    return new Set([...this.lives].filter(([, life]) => holds(life)).map(([name]) => name));
  }
}

/** Of everything that is not constant, and of outputs of the graph. */
function livesOf({ graph, values }: Network): Map<string, Life> {
  const outputs = new Set(graph.output.map(({ name }) => name));
  const lives = new Map<string, Life>();
  const make = (name: string, made: number) => {
    const value = values.get(name);
    if (name === '' || value?.tensor || (value?.constant && !outputs.has(name))) return;
    const read = outputs.has(name) ? Number.POSITIVE_INFINITY : made + 1;
    lives.set(name, { made, read, isTensor: value?.dims !== undefined });
  };
  for (const { name } of graph.input) make(name, -1);
  graph.node.forEach((node, place) => {
    for (const name of [...node.input, ...captured(node)]) {
      const life = lives.get(name);
      if (life) life.read = Math.max(life.read, place + 1);
    }
    for (const name of node.output) make(name, place);
  });
  return lives;
}

/** What may be no tensor counts as so many values: nothing is cut there. */
const NO_TENSOR = 1 << 20;

function cutsOf(lives: readonly Life[], nodes: number, wanted: readonly number[]): number[] {
  const crossing = new Int32Array(nodes + 2);
  for (const { made, read, isTensor } of lives) {
    const weight = isTensor ? 1 : NO_TENSOR;
    crossing[made + 1]! += weight;
    crossing[Math.min(read, nodes + 1)]! -= weight;
  }
  for (let at = 1; at < crossing.length; at++) crossing[at]! += crossing[at - 1]!;
  const cuts: number[] = [];
  for (const place of wanted) {
    let best = -1;
    for (let at = (cuts.at(-1) ?? 0) + 1; at <= place; at++) {
      if (best < 0 || crossing[at]! <= crossing[best]!) best = at;
    }
    if (best > 0 && crossing[best]! < NO_TENSOR) cuts.push(best);
  }
  return cuts;
}
