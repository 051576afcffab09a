/** Ops that take parts of axes, and that put parts together. */
import { type Dim, derived } from '../dims';
import type { Edit } from '../edit';
import type { Op, Place } from '../op';
import { type Content, joined, taken, type Value } from '../value';
import type { OpKind } from './kind';
import { except } from './layout';

const concat: OpKind = {
  relate(op) {
    const values = op.inputs.map((_, i) => op.shaped(i));
    const rank = values[0]!.dims.length;
    const axis = op.position(op.int('axis', 1), rank);
    if (values.some(({ dims }) => dims.length !== rank)) op.refuse('its inputs differ in rank');
    const sizes = values.map(({ dims }) => dims[axis]!);
    const total = derived(`concat ${sizes.length}`, sizes, (...all) => all.reduce((a, b) => a + b));
    const dims = values[0]!.dims.map((dim, i) => (i === axis ? total : dim));
    const y = op.output(dims, [], rank === 1 ? joined(values) : undefined);
    let start = 0;
    for (const value of values) {
      for (const place of except(value, axis)) if (place) op.join(place, [y, place[1]]);
      const size = Number(value.dims[axis]);
      op.joinRun([y, axis], start, [value, axis], 0, size);
      start += size;
    }
  },
};

const split: OpKind = {
  sizes: [1],
  relate(op) {
    const x = op.shaped(0);
    const axis = splitAxis(op);
    let start = 0;
    for (const length of lengthsOf(op, x.dims[axis]!)) {
      const dims = x.dims.map((dim, i) => (i === axis ? length : dim));
      const y = op.output(dims, except(x, axis));
      op.joinRun([x, axis], start, [y, axis], 0, Number(length));
      start += Number(length);
    }
  },
  rewrite(op, edit) {
    const axis = splitAxis(op);
    if (!edit.hasChanged(op.input(0), [axis])) return;
    const sizes = op.outputs.map((output) => edit.sizeAt(output, axis));
    edit.remove(op, 'num_outputs');
    if (op.opset < 13) edit.setInts(op, 'split', sizes);
    else edit.setInput(op, 1, sizes);
  },
};

function splitAxis(op: Op): number {
  return op.position(op.int('axis', 0), op.shaped(0).dims.length);
}

function lengthsOf(op: Op, size: Dim): Dim[] {
  const given = op.ints('split', undefined) ?? (op.inputs[1] ? op.numbers(1) : undefined);
  if (given) return given;
  const parts = op.node.output.length;
  if (typeof size === 'string') return op.node.output.map((name) => `part ${name}`);
  const each = Math.ceil(size / parts);
  return op.node.output.map((_, i) => Math.min(each, size - i * each));
}

/** Positions start, start + step, … of an axis. */
interface Run {
  start: number;
  count: number;
  step: number;
}

const slice: OpKind = {
  sizes: [1, 2],
  relate(op) {
    const x = op.shaped(0);
    const runs = runsOf(op);
    const dims = runs.map((run, i) =>
      run === WHOLE ? x.dims[i]! : countOf(run, `${op.node.output[0]} ${i}`),
    );
    const y = op.output(dims, [], slicedContent(x, runs));
    const isWritable = [1, 2].every((i) => isNumbers(op.input(i).content?.elements));
    if (!isWritable) for (const i of [1, 2]) op.pinSources(i, 'bounds that are computed');
    runs.forEach((run, i) => {
      if (run === WHOLE) op.join([x, i], [y, i]);
      else if (run?.step === 1 && isWritable) op.joinRun([x, i], run.start, [y, i], 0, run.count);
      else for (const value of [x, y]) op.pin([value, i], 'bounds that cannot be moved');
    });
  },
  rewrite(op, edit) {
    const x = op.input(0);
    const cut = runsOf(op).flatMap((run, i) => (run === WHOLE ? [] : i));
    if (!edit.hasChanged(x, cut)) return;
    const axes = slicedAxes(op);
    for (const index of [1, 2]) {
      const bounds = op.numbers(index).map((bound, k) => moved(edit, [x, axes[k]!], bound));
      edit.setInput(op, index, bounds);
    }
  },
};

const WHOLE = 'whole';
/** Ends from here on are meant as the axis' own. */
const NO_END = 2 ** 31 - 1;

/** By axis: what is taken of it; undefined where that is not known. */
function runsOf(op: Op): (Run | typeof WHOLE | undefined)[] {
  const axes = slicedAxes(op);
  const [starts, ends] = [op.input(1), op.input(2)].map(({ content }) => content?.elements);
  const steps = op.inputs[4] ? op.numbers(4) : axes.map(() => 1);
  return op.shaped(0).dims.map((size, i) => {
    const k = axes.indexOf(i);
    if (k < 0) return WHOLE;
    const [start, end, step] = [starts?.[k], ends?.[k], steps[k]!];
    if (start === 0 && step === 1 && typeof end === 'number' && end >= NO_END) return WHOLE;
    if (typeof start !== 'number' || typeof end !== 'number' || typeof size !== 'number')
      return undefined;
    return runOf(size, start, end, step);
  });
}

function slicedAxes(op: Op): number[] {
  const { length } = op.input(1).content?.elements ?? op.refuse('its bounds are not known');
  const given = op.inputs[3] ? op.numbers(3) : Array.from({ length }, (_, i) => i);
  return given.map((axis) => op.position(axis, op.shaped(0).dims.length));
}

function runOf(size: number, start: number, end: number, step: number): Run {
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (bound: number) =>
    Math.max(least, Math.min(most, bound < 0 ? bound + size : bound));
  const from = clamp(start);
  return { start: from, count: Math.max(0, Math.ceil((clamp(end) - from) / step)), step };
}

function countOf(run: Run | undefined, name: string): Dim {
  return run ? run.count : `slice ${name}`;
}

function isNumbers(elements: readonly Dim[] | undefined): boolean {
  return elements?.every((element) => typeof element === 'number') ?? false;
}

function slicedContent(x: Value, runs: (Run | typeof WHOLE | undefined)[]): Content | undefined {
  if (!x.content || runs.includes(undefined)) return undefined;
  const positions = runs.map((run, axis) => {
    const { start, count, step } =
      run === WHOLE ? { start: 0, count: Number(x.dims![axis]), step: 1 } : run!;
    return Array.from({ length: count }, (_, i) => start + i * step);
  });
  return taken(x, positions);
}

/** Where a bound is when some positions before it are gone. */
function moved(edit: Edit, [x, axis]: Place, bound: number): number {
  const size = x.dims![axis]!;
  if (typeof size === 'string' || bound >= NO_END) return bound;
  return edit.before(x, axis, bound < 0 ? Math.max(0, bound + size) : Math.min(bound, size));
}

const gather: OpKind = {
  relate(op) {
    const [x, indices] = [op.shaped(0), op.shaped(1)];
    const axis = op.position(op.int('axis', 0), x.dims.length);
    const [before, after] = [x.dims.slice(0, axis), x.dims.slice(axis + 1)];
    const same = [
      ...before.map((_, i): Place => [x, i]),
      ...indices.dims.map((_, i): Place => [indices, i]),
      ...after.map((_, i): Place => [x, axis + 1 + i]),
    ];
    const y = op.output([...before, ...indices.dims, ...after], same, gathered(x, indices));
    const chosen = chosenBy(op, axis);
    chosen?.forEach((position, i) => {
      if (indices.dims.length === 1) op.joinRun([x, axis], position, [y, axis], i, 1);
      else op.pin([x, axis], 'a position that is looked up', position, 1);
    });
    if (!chosen) op.pin([x, axis], 'positions that are looked up');
    if (x.constant && !indices.constant) {
      const last = x.axes.length - 1;
      if (last !== axis) op.role('writes', [x, last], [y, y.axes.length - 1]);
    }
  },
  rewrite(op, edit) {
    const x = op.input(0);
    const axis = op.position(op.int('axis', 0), x.dims!.length);
    const chosen = chosenBy(op, axis);
    if (!chosen || !edit.hasChanged(x, [axis])) return;
    const isOne = op.input(1).dims!.length === 0;
    const left = isOne ? chosen : edit.keptOf(op.outputs[0]!.axes[axis]!).map((i) => chosen[i]!);
    const places = left.map((position) => edit.before(x, axis, position));
    op.node.input[1] = edit.constant(places, isOne ? [] : [places.length]);
  },
};

/** Positions of an activation's axis that are looked up, where the file says which. */
function chosenBy(op: Op, axis: number): number[] | undefined {
  const [x, indices] = [op.shaped(0), op.shaped(1)];
  const { elements = [], shapesOf = [] } = indices.content ?? {};
  const size = x.dims[axis];
  const isStated = indices.constant && shapesOf.length === 0 && indices.dims.length <= 1;
  if (x.constant || x.content || !isStated || typeof size !== 'number' || !indices.content)
    return undefined;
  const positions = elements.map(Number).map((index) => (index < 0 ? index + size : index));
  return positions.every((position) => position >= 0 && position < size) ? positions : undefined;
}

function gathered(x: Value, indices: Value): Content | undefined {
  const { content } = x;
  const wanted = indices.content?.elements;
  if (!content || !wanted || x.axes.length !== 1) return undefined;
  const elements = wanted.map((index) => content.elements.at(Number(index)));
  if (elements.some((element) => element === undefined)) return undefined;
  return { ...content, elements: elements as Dim[] };
}

const pad: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const rank = x.dims.length;
    const pads = op.ints('pads', undefined) ?? op.numbers(1);
    const axes = op.inputs[3]
      ? op.numbers(3).map((axis) => op.position(axis, rank))
      : x.dims.map((_, i) => i);
    const around = (i: number) => {
      const k = axes.indexOf(i);
      return k < 0 ? [0, 0] : [pads[k]!, pads[k + axes.length]!];
    };
    const padded = x.dims.map((dim, i) =>
      derived(`pad ${around(i)}`, [dim], (size) => size + around(i)[0]! + around(i)[1]!),
    );
    const y = op.output(
      x.dims.map((dim, i) => (around(i).every((p) => p === 0) ? dim : padded[i]!)),
    );
    x.dims.forEach((size, i) => {
      const [first, last] = around(i) as [number, number];
      if (first === 0 && last === 0) op.join([x, i], [y, i]);
      else if (
        Math.min(first, last) < 0 ||
        op.text('mode', 'constant') !== 'constant' ||
        typeof size === 'string'
      ) {
        for (const value of [x, y]) op.pin([value, i], 'positions that are added');
      } else {
        op.joinRun([x, i], 0, [y, i], first, size);
        op.pin([y, i], 'positions that are added', 0, first);
        op.pin([y, i], 'positions that are added', first + size, last);
      }
    });
  },
};

export const PARTS: Record<string, OpKind> = {
  Concat: concat,
  Gather: gather,
  Pad: pad,
  Slice: slice,
  Split: split,
};
