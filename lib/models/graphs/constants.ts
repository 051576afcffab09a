/** Constants and stated shapes of a file, as values. */
import { type Axes, NONE } from './axes';
import { type Dim, symbol } from './dims';
import type { OnnxFile } from './onnx/file';
import type { AttributeProto, NodeProto, TensorProto, ValueInfoProto } from './onnx/onnx_pb';
import type { Source } from './onnx/source';
import { BOOL, DOUBLE, dimsOf, elementBytes, FLOAT, INT32, INT64 } from './onnx/tensor';
import type { Content, Value } from './value';

/** Elements of the largest tensor that sizes are read from, and of the largest one of whole numbers, which may be positions too. */
export const LONGEST_CONTENT = 64;
const MOST_POSITIONS = 8192;

/** The shape that a file states for a value; undefined where it states none. */
export function dimsStated(info: ValueInfoProto): readonly Dim[] | undefined {
  if (info.type?.value.case !== 'tensorType') return undefined;
  return info.type.value.value.shape?.dim.map(({ value }, i) => {
    if (value.case === 'dimParam' && isName(value.value)) return symbol(value.value);
    const size = value.case === 'dimValue' ? Number(value.value) : -1;
    return Number.isSafeInteger(size) && size >= 0 ? size : symbol(`${info.name} ${i}`);
  });
}

/** Some exporters write "?" for every size that they do not know. */
function isName(text: string): boolean {
  return /^[a-z_]/i.test(text);
}

/** A tensor as a value. @throws StruPruneError ERR_CHECKPOINT */
export function constantOf(file: OnnxFile, tensor: TensorProto, name: string, axes: Axes): Value {
  const dims = dimsOf(tensor);
  const data = file.data(tensor);
  const isDivisible = elementBytes(tensor.dataType) !== undefined;
  return {
    name,
    dims,
    // Elements of less than a byte and strings are not taken out one by one.
    axes: dims.map((dim) => (isDivisible ? axes.add(dim) : NONE)),
    content: contentOf(tensor.dataType, dims, data),
    constant: true,
    tensor,
  };
}

/** What a Constant node holds: a tensor, or numbers that are never sliced. */
export function constantNode(file: OnnxFile, node: NodeProto, axes: Axes): Value {
  const name = node.output[0] ?? '';
  const attribute = node.attribute.find((each) => each.name.startsWith('value'));
  if (attribute?.t) return constantOf(file, attribute.t, name, axes);
  const numbers = attribute && numbersOf(attribute);
  if (!numbers) return { name, dims: undefined, axes: [], constant: true };
  const isVector = attribute.name.endsWith('s');
  return {
    name,
    dims: isVector ? [numbers.length] : [],
    axes: isVector ? [NONE] : [],
    content: { elements: numbers, shapesOf: [], isInt64: attribute.name.includes('int') },
    constant: true,
  };
}

function numbersOf({ name, i, f, ints, floats }: AttributeProto): number[] | undefined {
  switch (name) {
    case 'value_int':
      return [Number(i)];
    case 'value_float':
      return [f];
    case 'value_ints':
      return ints.map(Number);
    case 'value_floats':
      return floats;
    default:
      return undefined;
  }
}

function contentOf(dataType: number, dims: number[], data: Source): Content | undefined {
  const length = dims.reduce((product, dim) => product * dim, 1);
  const isWhole = dataType === INT32 || dataType === INT64;
  if (length > (isWhole ? MOST_POSITIONS : LONGEST_CONTENT)) return undefined;
  const elements = elementsOf(dataType, data.read(0, data.length).slice().buffer);
  return elements && { elements, shapesOf: [], isInt64: dataType === INT64 };
}

function elementsOf(dataType: number, bytes: ArrayBuffer): number[] | undefined {
  switch (dataType) {
    case INT64:
      return Array.from(new BigInt64Array(bytes), Number);
    case BOOL:
      return [...new Uint8Array(bytes)];
    case INT32:
      return [...new Int32Array(bytes)];
    case FLOAT:
      return [...new Float32Array(bytes)];
    case DOUBLE:
      return [...new Float64Array(bytes)];
    default:
      return undefined;
  }
}
