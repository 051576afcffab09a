/** LSTM, GRU and RNN: a unit of the state is a row of every gate. */
import type { Axis } from '../axes';
import { at, type Op, type Place } from '../op';
import type { Value } from '../value';
import type { OpKind } from './kind';

function recurrent(gates: number): OpKind {
  return {
    relate(op) {
      const [x, w, r] = [op.shaped(0, 3), op.shaped(1, 3), op.shaped(2, 3)];
      const [bias, lengths, h, c, peepholes] = [3, 4, 5, 6, 7].map((i) => op.inputs[i]);
      const isBatchFirst = op.int('layout', 0) === 1;
      const [directions, units] = [w.dims[0]!, r.dims[2]!];
      const [sequence, batch] = isBatchFirst ? [1, 0] : [0, 1];
      const all = isBatchFirst
        ? op.output(
            [x.dims[0]!, x.dims[1]!, directions, units],
            [
              [x, 0],
              [x, 1],
              [w, 0],
            ],
          )
        : op.output(
            [x.dims[0]!, directions, x.dims[1]!, units],
            [
              [x, 0],
              [w, 0],
              [x, 1],
            ],
          );
      const states = op.node.output.slice(1).map(() =>
        isBatchFirst
          ? op.output(
              [x.dims[batch]!, directions, units],
              [
                [x, batch],
                [w, 0],
              ],
            )
          : op.output(
              [directions, x.dims[batch]!, units],
              [
                [w, 0],
                [x, batch],
              ],
            ),
      );
      op.mix([x, sequence], 'goes along it');
      op.pin([w, 0], 'directions');
      op.reads([w, 2], [x, 2]);
      op.reads([r, 2], [all, 3]);
      const hidden = at([r, 2]);
      for (const map of [w, r]) rows(op, [map, 1], gates, hidden);
      for (const map of [w, r]) op.role('writes', [map, 1], [all, 3]);
      if (bias) rows(op, [bias, 1], 2 * gates, hidden);
      if (peepholes) rows(op, [peepholes, 1], 3, hidden);
      for (const [i, before] of [h, c].entries()) {
        const after = states[i];
        if (before && op.isOutside([before, 2], after))
          op.outside.push({ input: 5 + i, output: 1 + i, position: 2, axis: hidden });
        else for (const value of [before, after]) if (value) op.join([value, 2], [all, 3]);
      }
      for (const value of [r, bias, peepholes]) if (value) op.join([value, 0], [w, 0]);
      for (const value of [h, c]) if (value) joinState(op, value, x, isBatchFirst);
      if (lengths) op.pinAll(lengths, 'lengths of sequences');
      op.axes.hidden = hidden;
    },
    rewrite(op, edit) {
      edit.setSize(op, 'hidden_size', op.axes.hidden);
      edit.keepOutside(op);
    },
  };
}

/** Rows of all gates, the slowest first, of one unit of the state. */
function rows(op: Op, place: Place, gates: number, hidden: Axis): void {
  const gate = op.axis(gates);
  op.pinAxis(gate, 'gates');
  op.factor(at(place), [gate, hidden], 1);
}

function joinState(op: Op, state: Value, x: Value, isBatchFirst: boolean): void {
  op.join([state, isBatchFirst ? 0 : 1], [x, isBatchFirst ? 0 : 1]);
}

/** Rows of a map for each unit. */
export const GATES: Readonly<Record<string, number>> = { GRU: 3, LSTM: 4, RNN: 1 };

export const RECURRENT: Record<string, OpKind> = Object.fromEntries(
  Object.entries(GATES).map(([name, gates]) => [name, recurrent(gates)]),
);
