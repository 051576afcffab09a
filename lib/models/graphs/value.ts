/** A value of the graph: an input, a constant or what a node computes. */
import type { Axis } from './axes';
import type { Dim } from './dims';
import type { TensorProto } from './onnx/onnx_pb';

/** The few elements of a tensor that shapes are computed from, row-major. */
export interface Content {
  elements: Dim[];
  /** Known to be of TensorProto.DataType INT64, as sizes are. */
  isInt64: boolean;
  /** The values whose shapes it was read off. */
  shapesOf: Value[];
}

export interface Value {
  readonly name: string;
  /** Undefined: not even the rank is known. */
  readonly dims: readonly Dim[] | undefined;
  /** One a dim; NONE where its size is a symbol without a number. */
  readonly axes: readonly Axis[];
  readonly content?: Content;
  /** Set where the value is computed from constants alone. */
  readonly constant: boolean;
  /** The message that holds the value's elements. */
  readonly tensor?: TensorProto;
}

/** One after the other, of vectors. */
export function joined(values: readonly Value[]): Content | undefined {
  const contents = values.flatMap(({ content }) => content ?? []);
  if (contents.length < values.length) return undefined;
  return {
    elements: contents.flatMap(({ elements }) => elements),
    shapesOf: contents.flatMap(({ shapesOf }) => shapesOf),
    isInt64: contents.every(({ isInt64 }) => isInt64),
  };
}

/** Of every axis those positions. */
export function taken(
  { content, dims }: Value,
  positions: readonly number[][],
): Content | undefined {
  if (!content || !dims) return undefined;
  let starts = [0];
  positions.forEach((kept, axis) => {
    starts = starts.flatMap((start) => kept.map((i) => start * Number(dims[axis]) + i));
  });
  return { ...content, elements: starts.map((i) => content.elements[i]!) };
}

/** The axes in that order. */
export function permuted({ content, dims }: Value, order: readonly number[]): Content | undefined {
  if (!content || !dims) return undefined;
  const strides = dims.map((_, i) => dims.slice(i + 1).reduce<number>((a, b) => a * Number(b), 1));
  let places = [0];
  for (const axis of order) {
    const along = Array.from({ length: Number(dims[axis]) }, (_, i) => i * strides[axis]!);
    places = places.flatMap((place) => along.map((step) => place + step));
  }
  return { ...content, elements: places.map((i) => content.elements[i]!) };
}
