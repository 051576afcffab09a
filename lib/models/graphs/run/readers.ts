/** What reads a site, as linear maps that can be refitted: rows of convolutions are patches (im2col). */

import { elements } from '../../../model/axes';
import { isFloat } from '../onnx/floats';
import type { NodeProto } from '../onnx/onnx_pb';
import type { Op, Role } from '../op';
import { grown, windowsOf } from '../ops/maps';
import { GATES } from '../ops/recurrent';
import type { Network } from '../relate';
import type { Site, Use } from '../sites';
import type { Value } from '../value';
import { inOrder, placing, placingTransposed, type ReaderUse } from './patches';
import { statesBefore } from './states';

/** A map behind a site; of a convolution in groups one group's. */
export interface Reader {
  /** A constant of floats, of 32 bits or 16, that nothing else uses. */
  map: Value;
  /** Of outputs. */
  out: number;
  /** Elements of the map in a kernel; 1 where it has none. */
  kernel: number;
  /** Where element k of the kernel of output o and position p lies: first + o · outStep + p · positionStep + k · kernelStep. */
  first: number;
  outStep: number;
  positionStep: number;
  /** 1 where left out. */
  kernelStep?: number;
  /** Outputs on two axes: o lies at ⌊o / size⌋ · step + (o mod size) · outStep. */
  outBlocks?: { size: number; step: number };
  /** Positions on the map's axis, unit after unit. */
  positions: Int32Array;
  /** Others on it: units of other sites behind a Concat, and what stays. */
  beside: Int32Array;
  uses: ReaderUse[];
  /** Of the map, where a refit may change it: `[outputs]` from output `biasFirst` on. */
  bias: Value | null;
  biasFirst: number;
  /** What the bias gains where what the map gives has to gain one. 1 where left out. */
  biasGain?: number;
}

/** Products, and whether a bias is among their inputs or stands alone. */
const PRODUCTS: Readonly<Record<string, 'among' | 'alone'>> = {
  ...{ Einsum: 'alone', FusedGemm: 'among', FusedMatMul: 'alone' },
  ...{ Gemm: 'among', MatMul: 'alone' },
};

/** Where onnxruntime's own ops that add a vector to their input have it. */
const ADDING: Readonly<Record<string, number>> = {
  ...{ BiasGelu: 1, FastGelu: 1 },
  ...{ SkipLayerNormalization: 4, SkipSimplifiedLayerNormalization: 3 },
};

/** Before it is known what else lies on the axis. */
type Part = Omit<Reader, 'beside'>;

/** Columns of a reader up to which those of other sites are refitted too. */
const MOST_COLUMNS = 4096;

/** Columns of a reader's rows. */
export function columnsOf({ positions, kernel }: Pick<Reader, 'positions' | 'kernel'>): number {
  return positions.length * kernel;
}

/** Positions beside a reader's own that no site has lost so far. */
export function staying(
  { map, beside }: Reader,
  kept: ReadonlyMap<Site, ArrayLike<number>>,
): Int32Array {
  if (beside.length === 0) return beside;
  const gone = new Set<number>();
  for (const [{ readers }, units] of kept) {
    const left = new Set(Array.from(units));
    for (const use of readers.filter(({ role }) => role.map === map)) {
      use.positions.forEach((position, i) => {
        if (!left.has(use.units[i]!)) gone.add(position);
      });
    }
  }
  return beside.filter((position) => !gone.has(position));
}

/** Finds the readers of sites. */
export class Readers {
  private readonly ops: ReadonlyMap<NodeProto, Op>;
  /** Of each value the nodes that read it, as often as they do; of an output of the model null too. */
  private readonly uses = new Map<string, (NodeProto | null)[]>();

  /** `fits`: a refit may change biases. */
  constructor(
    private readonly network: Network,
    private readonly fits: boolean,
  ) {
    const { ops, graph } = network;
    this.ops = new Map(ops.map(({ op }) => [op.node, op]));
    for (const node of graph.node) for (const name of node.input) this.usesOf(name).push(node);
    for (const { name } of graph.output) this.usesOf(name).push(null);
  }

  /** A text: why they cannot all be refitted. */
  of({ readers }: Site): Reader[] | string {
    if (readers.length === 0) return 'nothing reads it through weights';
    const found: Reader[] = [];
    for (const map of new Set(readers.map(({ role }) => role.map))) {
      const made = this.through(
        map,
        readers.filter(({ role }) => role.map === map),
      );
      if (typeof made === 'string') return made;
      const [{ role }] = readers.filter((use) => use.role.map === map) as [Use];
      const size = this.network.axes.size(role.axis);
      found.push(...made.map((reader) => ({ ...reader, beside: besideOf(reader, size) })));
    }
    return found;
  }

  private through(map: Value, uses: Use[]): Part[] | string {
    const { opType } = uses[0]!.role.node;
    if (uses.some(({ role }) => role.node.opType !== opType)) return 'a map is read in two ways';
    if (!isFloat(map.tensor?.dataType))
      return `${opType}: its map is no constant of 32-bit or 16-bit floats`;
    if (this.usesOf(map.name).length > uses.length)
      return `${opType}: its map is used elsewhere too`;
    if (uses.some(({ role }) => role.by.constant)) return `${opType}: it reads a constant`;
    if (opType === 'Conv' || opType === 'FusedConv') return this.convolutions(map, uses);
    if (opType === 'ConvTranspose') return this.transposed(map, uses);
    if (opType === 'Einsum') return this.einsum(map, uses);
    if (opType in PRODUCTS) return this.product(map, uses);
    if (opType in GATES) return this.recurrent(map, uses);
    return `${opType}: not refitted by this program`;
  }

  /** One a group. */
  private convolutions(map: Value, uses: Use[]): Part[] {
    const [outputs, inputs, ...kernel] = map.dims as number[];
    const size = elements(kernel);
    const groups = this.opOf(uses[0]!).int('group', 1);
    const out = outputs! / groups;
    const positions = positionsOf(uses[0]!);
    const bias = this.biasOf(uses, outputs!);
    const read = uses.map((use) => ({
      activation: use.role.by.name,
      places: placing(windowsOf(this.opOf(use), kernel.length), kernel),
    }));
    return Array.from({ length: groups }, (_, group) => ({
      map,
      out,
      kernel: size,
      first: group * out * inputs! * size,
      outStep: inputs! * size,
      positionStep: size,
      positions,
      uses: read.map((use) => ({ ...use, axis: 1, channel: group * inputs! })),
      bias,
      biasFirst: group * out,
    }));
  }

  /** One a group. */
  private transposed(map: Value, uses: Use[]): Part[] | string {
    const [all, out, ...kernel] = map.dims as [number, number, ...number[]];
    const ops = uses.map((use) => this.opOf(use));
    const groups = ops[0]!.int('group', 1);
    const inputs = all / groups;
    // Which end is padded where the padding is odd, readers of the standard see differently.
    if (ops.some((op) => op.text('auto_pad', 'NOTSET').startsWith('SAME')))
      return 'ConvTranspose: padded by name';
    const size = elements(kernel);
    const bias = this.biasOf(uses, groups * out);
    const positions = positionsOf(uses[0]!);
    const read = uses.map(({ role }, i) => ({
      ...{ activation: role.by.name, axis: 1 },
      places: placingTransposed(windowsOf(ops[i]!, kernel.length), kernel, (sizes) =>
        grown(ops[i]!, sizes, kernel),
      ),
    }));
    return Array.from({ length: groups }, (_, group) => ({
      ...{ map, out, kernel: size, first: group * inputs * out * size },
      ...{ outStep: size, positionStep: out * size, positions },
      uses: read.map((use) => ({ ...use, channel: group * inputs })),
      ...{ bias, biasFirst: group * out },
    }));
  }

  /** A product with the map: of its axes some are contracted, and all others the output's. */
  private einsum(map: Value, uses: Use[]): Part[] | string {
    const [{ role }, ...others] = uses as [Use, ...Use[]];
    const { axis, by, position, node } = role;
    const dims = map.dims as number[];
    const own = this.network.roles.filter((each) => each.node === node && each.map === map);
    const along = (kind: Role['kind']) => own.filter((each) => each.kind === kind);
    const read = along('reads').filter((each) => each.axis !== axis);
    const written = along('writes');
    if (others.length > 0) return 'Einsum: two of them share a map';
    if (own.length !== dims.length || read.length > 1 || written.length > 2)
      return 'Einsum: it is no plain product';
    const at = (each: Role) => map.axes.indexOf(each.axis);
    const [beside] = read;
    if (beside && (beside.position !== by.axes.length - 1 || beside.by !== by))
      return 'Einsum: what it contracts beside the axis is not the last one';
    const step = (i: number) => elements(dims.slice(i + 1));
    const outs = written.map(at).sort((a, b) => a - b);
    const out = elements(outs.map((i) => dims[i]!));
    const [inner, outer] = outs.toReversed();
    const isLast = written.length === 1 && written[0]!.position === written[0]!.by.axes.length - 1;
    return [
      {
        ...{ map, out, kernel: beside ? dims[at(beside)]! : 1, first: 0 },
        ...{ outStep: inner === undefined ? 1 : step(inner), positionStep: step(at(role)) },
        kernelStep: beside ? step(at(beside)) : 1,
        ...(outer !== undefined && { outBlocks: { size: dims[inner!]!, step: step(outer) } }),
        positions: positionsOf(uses[0]!),
        uses: [{ activation: by.name, axis: position, channel: 0, places: inOrder }],
        ...{ bias: isLast ? this.biasOf(uses, out) : null, biasFirst: 0 },
      },
    ];
  }

  private product(map: Value, uses: Use[]): Part[] | string {
    if (map.dims!.length !== 2)
      return `${uses[0]!.role.node.opType}: its map has more than two axes`;
    const [scale, ofBias] = scalesOf(uses[0]!.role.node);
    if (
      scale === 0 ||
      (uses.length > 1 && uses.some(({ role }) => scalesOf(role.node)[0] !== scale))
    )
      return 'Gemm: its product is scaled by zero or in two ways';
    const axis = map.axes.indexOf(uses[0]!.role.axis);
    const [rows, columns] = map.dims as [number, number];
    const out = axis === 0 ? columns : rows;
    return [
      {
        map,
        out,
        kernel: 1,
        first: 0,
        outStep: axis === 0 ? 1 : columns,
        positionStep: axis === 0 ? columns : 1,
        positions: positionsOf(uses[0]!),
        uses: uses.map(({ role }) => ({
          activation: role.by.name,
          axis: role.position,
          channel: 0,
          places: inOrder,
        })),
        bias: ofBias === 0 ? null : this.biasOf(uses, out),
        ...{ biasFirst: 0, biasGain: scale / ofBias },
      },
    ];
  }

  /** One a direction: the map of what goes in, or the one by which a layer reads its own units of a step before. */
  private recurrent(map: Value, uses: Use[]): Part[] | string {
    const [use, ...others] = uses;
    const { node, by, position } = use!.role;
    const op = this.opOf(use!);
    const [directions, rows, columns] = map.dims as [number, number, number];
    if (others.length > 0) return `${node.opType}: two layers share a map`;
    const isOwn = node.input[2] === map.name;
    const given = { activation: by.name, axis: position, channel: 0, places: inOrder };
    const all = { from: 0, to: GATES[node.opType]!, uses: () => [given] };
    const parts = isOwn ? statesBefore(op, by) : [all];
    if (typeof parts === 'string') return `${node.opType}: ${parts}`;
    const bias = this.biasIn(node.input[3], [directions, 2 * rows]);
    const units = rows / GATES[node.opType]!;
    return Array.from({ length: directions }, (_, direction) =>
      parts.map(({ from, to, uses }) => ({
        ...{ map, out: (to - from) * units, kernel: 1 },
        first: (direction * rows + from * units) * columns,
        ...{ outStep: columns, positionStep: 1, positions: positionsOf(use!) },
        ...{ uses: uses(direction), bias },
        biasFirst: (2 * direction + (isOwn ? 1 : 0)) * rows + from * units,
      })),
    ).flat();
  }

  /** The vector that is added to what one node gives; null where there is none of its own. */
  private biasOf(uses: Use[], outputs: number): Value | null {
    if (!this.fits || uses.length > 1) return null;
    const { node } = uses[0]!.role;
    const own = PRODUCTS[node.opType] === 'alone' ? this.addedTo(node) : node.input[2];
    return this.biasIn(own, [outputs]);
  }

  /** A constant of that shape which nothing else uses. */
  private biasIn(name: string | undefined, dims: readonly number[]): Value | null {
    const bias = this.fits && name ? this.network.values.get(name) : undefined;
    if (!bias || !isFloat(bias.tensor?.dataType) || this.usesOf(bias.name).length > 1) return null;
    return String(bias.dims) === String(dims) ? bias : null;
  }

  /** The vector that a node adds which alone reads what this one gives. */
  private addedTo({ output }: NodeProto): string | undefined {
    const [added, ...others] = this.usesOf(output[0]!);
    if (others.length > 0 || !added) return undefined;
    const { opType, input } = added;
    const at = ADDING[opType];
    if (at !== undefined) return input.indexOf(output[0]!) < at ? input[at] : undefined;
    return opType === 'Add' ? input.find((name) => name !== output[0]) : undefined;
  }

  private usesOf(name: string): (NodeProto | null)[] {
    const uses = this.uses.get(name) ?? [];
    this.uses.set(name, uses);
    return uses;
  }

  private opOf({ role }: Use): Op {
    return this.ops.get(role.node)!;
  }
}

/** What a product's map is multiplied by, and its bias. */
function scalesOf({ attribute }: NodeProto): [map: number, bias: number] {
  const of = (name: string) => attribute.find((each) => each.name === name)?.f ?? 1;
  return [of('alpha'), of('beta')];
}

/** Other positions of an axis; none where refitting them too would take too long. */
function besideOf({ positions, kernel }: Part, size: number): Int32Array {
  const own = new Set(positions);
  const others = Array.from({ length: size }, (_, i) => i).filter((i) => !own.has(i));
  return Int32Array.from(size * kernel > MOST_COLUMNS ? [] : others);
}

/** Of each unit the positions, one unit after the other. */
function positionsOf({ positions, units }: Use): Int32Array {
  const order = [...positions.keys()].sort((a, b) => units[a]! - units[b]! || a - b);
  return Int32Array.from(order, (i) => positions[i]!);
}
