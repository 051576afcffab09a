/** Axes cut anew, as a reshape does it: which of them are factors of which. */
import type { Axis } from '../axes';
import { type Dim, factorOf, product, quotient, symbolsOf } from '../dims';
import { at, type Op, type Place } from '../op';
import type { Value } from '../value';

/** The axes of `from`, row-major, cut anew into those of `to`. */
export function regroup(op: Op, from: Value, to: Value): void {
  const [a, b] = [from.dims!, to.dims!];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [startI, startJ] = [i, j];
    let [sizeA, sizeB] = [a[i++] ?? 1, b[j++] ?? 1];
    while (sizeA !== sizeB) {
      const isLess = quotient(sizeB, sizeA) !== undefined || isNumberBelow(sizeA, sizeB);
      if (isLess && i < a.length) sizeA = product([sizeA, a[i++]!]);
      else if (j < b.length) sizeB = product([sizeB, b[j++]!]);
      else if (i < a.length) sizeA = product([sizeA, a[i++]!]);
      else break;
    }
    regroupBlock(
      op,
      places(from, startI, Math.min(i, a.length)),
      places(to, startJ, Math.min(j, b.length)),
    );
  }
}

function isNumberBelow(a: Dim, b: Dim): boolean {
  return typeof a === 'number' && typeof b === 'number' && a < b;
}

function places(value: Value, from: number, to: number): Place[] {
  return Array.from({ length: to - from }, (_, i): Place => [value, from + i]);
}

/** Axes of one product on both sides: their common factors. */
function regroupBlock(op: Op, a: Place[], b: Place[]): void {
  const all = [...a, ...b];
  const sides = [a, b].map((side) => side.filter((place) => factorOf(sizeOf(place)) !== 1));
  const cuts = sides.map(cutsOf);
  const merged = [...new Set(cuts.flat())].sort((x, y) => x - y);
  const isNested = merged.every((cut, i) => i === 0 || cut % merged[i - 1]! === 0);
  const isKnown = isLed(a, b) && sides.flat().every((place) => at(place) >= 0);
  if (!isKnown || cuts[0]!.at(-1) !== cuts[1]!.at(-1) || !isNested) {
    for (const place of all) op.pin(place, 'axes that are cut across each other');
    return;
  }
  const atoms = new Map<number, Axis>();
  for (const side of sides) {
    let before = 1;
    for (const place of side) {
      const size = factorOf(sizeOf(place));
      const inside = merged.filter((cut) => cut > before && cut <= before * size);
      if (inside.length > 1)
        op.factor(
          at(place),
          inside.map((cut) => atomAt(op, atoms, merged, cut)),
        );
      else if (atoms.has(inside[0]!)) op.joinAxes(atoms.get(inside[0]!)!, at(place));
      else atoms.set(inside[0]!, at(place));
      before *= size;
    }
  }
}

/** The axis of a factor, named by the product of all factors up to it. */
function atomAt(op: Op, atoms: Map<number, Axis>, merged: number[], cut: number): Axis {
  const known = atoms.get(cut);
  if (known !== undefined) return known;
  const axis = op.axis(cut / (merged[merged.indexOf(cut) - 1] ?? 1));
  atoms.set(cut, axis);
  return axis;
}

function sizeOf([value, position]: Place): Dim {
  return value.dims![position]!;
}

/** Symbols are in front of all numbers on both sides, and the same ones: what is behind them is cut as if there were none. */
function isLed(a: Place[], b: Place[]): boolean {
  const [left, right] = [a, b].map((side) => {
    const sizes = side.map(sizeOf);
    const lastSymbol = sizes.findLastIndex((size) => typeof size === 'string');
    const isFirst = sizes.slice(0, Math.max(lastSymbol, 0)).every((size) => factorOf(size) === 1);
    return isFirst ? product(sizes.map(symbolsOf)) : undefined;
  });
  return left !== undefined && left === right;
}

function cutsOf(side: Place[]): number[] {
  let total = 1;
  return side.map((place) => {
    total *= factorOf(sizeOf(place));
    return total;
  });
}
