import type { Edit } from '../edit';
import type { Op } from '../op';

/** One entry of the op table. */
export interface OpKind {
  /** Says the outputs' shapes and how all axes belong together. */
  relate(op: Op): void;
  /** Rewrites what the node states of sizes, after some have changed. */
  rewrite?(op: Op, edit: Edit): void;
  /** Inputs whose elements are sizes: `rewrite` states them anew, so that a computed one need not be followed. */
  sizes?: readonly number[];
}
