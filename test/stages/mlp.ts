/** A network of plain arrays behind the stages' interface: maps with ReLU between them. */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Budget } from '../../lib/allocation';
import { Solver } from '../../lib/engine/solver';
import type {
  Chosen,
  Cut,
  Fit,
  FrontEnd,
  Half,
  Joint,
  JointLosses,
  Output,
  Part,
  Pass,
  Shrinking,
  Visited,
  VisitSite,
} from '../../lib/models/front-end';
import type { Journal } from '../../lib/pruning/journal/journal';
import { LAMBDA } from '../../lib/solver/ridge';
import { channelStructure } from '../../lib/solver/structures/channels';
import type { SurveySpec } from '../../lib/spec/survey';
import type { Layer } from '../../lib/spec/widths';

/** `weight` `[out, in]`, `bias` `[out]`. */
export interface Map2 {
  weight: number[][];
  bias: number[];
}
export type Mlp = Map2[];

export function apply({ weight, bias }: Map2, inputs: number[][]): number[][] {
  return inputs.map((x) => weight.map((row, o) => dot(row, x) + bias[o]!));
}

/** What the map reads that has this index. */
export function inputsOf(mlp: Mlp, inputs: number[][], map: number): number[][] {
  const relu = (rows: number[][]) => rows.map((row) => row.map((value) => Math.max(0, value)));
  return mlp.slice(0, map).reduce((rows, each) => relu(apply(each, rows)), inputs);
}

export function outputsOf(mlp: Mlp, inputs: number[][]): number[][] {
  return apply(mlp.at(-1)!, inputsOf(mlp, inputs, mlp.length - 1));
}

/** ‖a − b‖² ÷ ‖b‖². */
export function relativeLoss(a: number[][], b: number[][]): number {
  const squares = (of: (i: number, j: number) => number) =>
    b.reduce((sum, row, i) => sum + row.reduce((inner, _, j) => inner + of(i, j) ** 2, 0), 0);
  return squares((i, j) => a[i]![j]! - b[i]![j]!) / squares((i, j) => b[i]![j]!);
}

/** Without the other units behind a map; the map that reads them becomes `reader`. */
export function cut(mlp: Mlp, map: number, kept: ArrayLike<number>, reader: number[][]): Mlp {
  const stay = <T>(rows: T[]) => Array.from(kept, (unit) => rows[unit]!);
  const { weight, bias } = mlp[map]!;
  return mlp.with(map, { weight: stay(weight), bias: stay(bias) }).with(map + 1, {
    weight: reader,
    bias: mlp[map + 1]!.bias,
  });
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

export interface PlainInput {
  mlp: Mlp;
  inputs: number[][];
  /** Weights to remove. */
  remove: number;
  journal: Journal;
  output: string;
  /** The part before which a pass fails; none where left out. */
  fails?: number;
}

export class PlainNetwork implements FrontEnd {
  readonly layers: Layer[];
  readonly stored = 'F32';
  readonly parts: number;
  readonly part = 'block';
  readonly budget: Budget;
  /** Of the pass: parts that were solved, and that the journal had. */
  readonly solved: number[] = [];
  readonly replayed: number[] = [];
  /** Trials of all layers at once. */
  joints = 0;

  constructor(readonly about: PlainInput) {
    const { mlp, remove } = about;
    this.parts = mlp.length - 1;
    this.layers = mlp.slice(0, -1).map(({ bias, weight }, block) => ({
      block,
      site: 'ffn',
      groups: bias.length,
      cost: weight[0]!.length + mlp[block + 1]!.bias.length,
      groupSize: 1,
      allowed: Int32Array.from({ length: bias.length }, (_, k) => k),
    }));
    const total = mlp.reduce((sum, map) => sum + map.weight.length * map.weight[0]!.length, 0);
    this.budget = { remove, total };
  }

  sample() {
    const { length: rows } = this.about.inputs;
    return { rows, about: `${rows} rows` };
  }

  columns(): never {
    throw new Error('no moments here');
  }

  async visit<Found>(
    { lambda = LAMBDA }: SurveySpec,
    visit: VisitSite<Found>,
  ): Promise<Visited<Found>> {
    const { mlp, inputs } = this.about;
    const found: Found[] = [];
    const losses = new Float64Array(this.layers.length);
    for (const at of this.layers.keys()) {
      const solver = await solverOf(mlp, inputs, at, lambda);
      found[at] = await visit(at, {
        solver,
        stream: 0,
        async tryOut(kept, refit) {
          const tried = cut(mlp, at, kept, rowsOf(refit.weight(), kept.length));
          losses[at] = relativeLoss(outputsOf(tried, inputs), outputsOf(mlp, inputs));
        },
      });
      solver[Symbol.dispose]();
    }
    return { found, losses, metrics: null };
  }

  /** On the very rows that are summed. */
  async jointly({ survey, networks, visit, onPart }: Joint): Promise<JointLosses> {
    this.joints += 1;
    const { mlp, inputs } = this.about;
    const { lambda = LAMBDA } = survey;
    const others = new Map<number, Mlp>();
    let joint = mlp;
    for (const at of this.layers.keys()) {
      const taken = (network: Mlp, one: Cut | null) =>
        one ? cut(network, at, one.kept, rowsOf(one.refit.weight(), one.kept.length)) : network;
      const solver = await solverOf(mlp, inputs, at, lambda);
      await visit(at, {
        solver,
        other: async (one) => {
          others.set(at, taken(joint, one));
        },
        joint: async (one) => {
          for (const [l, network] of others) if (l !== at) others.set(l, taken(network, one));
          joint = taken(joint, one);
        },
      });
      solver[Symbol.dispose]();
      onPart(at);
    }
    if (others.size !== networks - 1) throw new Error(`${others.size} others of ${networks - 1}`);
    const lossOf = (network: Mlp | undefined) => (network ? this.#loss(network) : Number.NaN);
    return {
      loss: this.#loss(joint),
      others: Float64Array.from(this.layers, (_, at) => lossOf(others.get(at))),
    };
  }

  async half({ survey, half, visit, onPart }: Half): Promise<void> {
    const { mlp, inputs } = this.about;
    const { lambda = LAMBDA } = survey;
    const mine = inputs.filter((_, row) => row % 2 === half);
    for (const at of this.layers.keys()) {
      const solver = await solverOf(mlp, mine, at, lambda);
      await visit(at, solver);
      solver[Symbol.dispose]();
      onPart(at);
    }
  }

  structureOf({ groups, cost }: Layer) {
    return channelStructure({ channels: groups, hidden: cost / 2, gated: false });
  }

  shrink(): Shrinking {
    const { about } = this;
    let mlp = about.mlp;
    return {
      begin: async ({ refit: { lambda = LAMBDA } }): Promise<Pass> => ({
        open: async (index) => {
          if (index === about.fails) throw new Error('the power went');
          this.solved.push(index);
          return part(about, mlp, index, lambda, (now) => {
            mlp = now;
          });
        },
        replay: async (index) => {
          this.replayed.push(index);
          mlp = JSON.parse(readFileSync(about.journal.blockPath(index), 'utf8'));
        },
        measure: async () => this.#loss(mlp),
        [Symbol.asyncDispose]: async () => {},
      }),
      write: async (): Promise<Output> => {
        const path = `${about.output}.partial`;
        writeFileSync(path, JSON.stringify(mlp));
        const commit = async () => renameSync(path, about.output);
        return { path, commit, abort: async () => rmSync(path) };
      },
    };
  }

  async measure(path: string): Promise<number> {
    return this.#loss(JSON.parse(readFileSync(path, 'utf8')));
  }

  #loss(mlp: Mlp): number {
    const { inputs } = this.about;
    return relativeLoss(outputsOf(mlp, inputs), outputsOf(this.about.mlp, inputs));
  }
}

/** The hidden layer behind the map of that index. */
function part(
  { inputs }: PlainInput,
  before: Mlp,
  index: number,
  lambda: number,
  become: (mlp: Mlp) => void,
): Part {
  let mlp = before;
  const take = ({ kept, refit }: Chosen) => {
    const reader = refit!.weight();
    mlp = cut(mlp, index, kept, rowsOf(reader, kept.length));
    become(mlp);
  };
  return {
    leave: async () => {},
    cut: async (_layer, chosen) => take(chosen),
    async shrink(_layer, choose) {
      const solver = await solverOf(mlp, inputs, index, lambda);
      const chosen = await choose({ by: 'gram', solver, hasBias: true });
      take(chosen);
      const { relativeError, lambda: used, ridgeRaised } = chosen.refit!;
      const fit: Fit = { relativeError, lambda: used, ridgeRaised, inputRefit: null };
      chosen.refit![Symbol.dispose]();
      solver[Symbol.dispose]();
      return { chosen, fit };
    },
    async finish() {
      async function* chunks() {
        yield Buffer.from(JSON.stringify(mlp));
      }
      return { roles: [], chunks: chunks() };
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Of the map that reads the units behind the map of that index. */
function solverOf(mlp: Mlp, inputs: number[][], index: number, lambda: number) {
  const { weight, bias } = mlp[index + 1]!;
  const x = inputsOf(mlp, inputs, index + 1);
  const width = weight[0]!.length;
  const columns = Array.from({ length: width }, (_, j) => x.map((row) => row[j]!));
  return Solver.fromSums(1, 0, {
    in: width,
    out: bias.length,
    tokens: x.length,
    gram: Float64Array.from(columns.flatMap((a) => columns.map((b) => dot(a, b)))),
    sums: Float64Array.from(columns, (column) => column.reduce((sum, value) => sum + value, 0)),
    weight: Float32Array.from(weight.flat()),
    bias: Float32Array.from(bias),
    lambda,
  });
}

function rowsOf(values: Float32Array, cols: number): number[][] {
  const rows = values.length / cols;
  return Array.from({ length: rows }, (_, r) => [...values.subarray(r * cols, (r + 1) * cols)]);
}
