/**
 * Protobuf's wire format, walked in a source without reading the values: what lets the weights stay in the file
 * (protobuf.dev/programming-guides/encoding). Field values are the business of @bufbuild/protobuf.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

import { StruPruneError } from '../../../errors';
import { MemorySource, Range, type Source } from './source';

const VARINT = 0;
const FIXED64 = 1;
export const LENGTH = 2;
const FIXED32 = 5;
/** Messages within messages; graphs within graphs take three levels. */
const DEEPEST = 90;
/** Fields of all messages together: 4 MB of empty messages, which take two bytes each, become 400 MB of objects. */
const MOST_FIELDS = 1 << 21;
const WINDOW = 1 << 16;

/** A field in a source: its tag at `start`, its value from `value` to `end`. */
export interface WireField {
  number: number;
  wire: number;
  start: number;
  value: number;
  end: number;
}

/** What a message or a field becomes: bytes and sources, one after the other. */
export interface Pieces {
  length: number;
  parts: Source[];
}

/** What becomes of a field; undefined: it stays. */
export type Replace = (owner: DescMessage, field: WireField, source: Source) => Pieces | undefined;

/** Said without the file's name, which `naming` adds. */
export function malformed(what: string): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', what, 'give an .onnx file that onnx.checker accepts');
}

/** Reads single bytes of a source through a window. */
class Cursor {
  private window: Uint8Array = new Uint8Array();
  private from = 0;

  constructor(private readonly source: Source) {}

  byte(at: number): number {
    if (at < this.from || at >= this.from + this.window.length) {
      this.from = at;
      this.window = this.source.read(at, Math.min(WINDOW, this.source.length - at));
    }
    return this.window[at - this.from]!;
  }
}

/** Walks the fields of messages and counts them. */
class Walker {
  private readonly cursor: Cursor;
  private count = 0;
  private at = 0;

  constructor(source: Source) {
    this.cursor = new Cursor(source);
  }

  /** Counts so many more fields, or entries of a packed one. */
  charge(entries: number): void {
    this.count += entries;
    if (this.count > MOST_FIELDS) throw malformed(`more than ${MOST_FIELDS} fields`);
  }

  *fields(start: number, end: number): Generator<WireField> {
    for (let next = start; next < end; ) {
      this.charge(1);
      this.at = next;
      const tag = this.varint(end);
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      if (number === 0) throw malformed(`field 0 at byte ${next}`);
      const size = this.size(wire, end);
      const field = { number, wire, start: next, value: this.at, end: this.at + size };
      if (field.end > end) throw malformed(`the field at byte ${next} is longer than its message`);
      next = field.end;
      yield field;
    }
  }

  /** Bytes of the value that begins here. */
  private size(wire: number, end: number): number {
    if (wire === FIXED64) return 8;
    if (wire === FIXED32) return 4;
    if (wire === LENGTH) return this.varint(end);
    if (wire !== VARINT) throw malformed(`wire type ${wire} at byte ${this.at}`);
    const start = this.at;
    this.varint(end);
    const size = this.at - start;
    this.at = start;
    return size;
  }

  /** Exact up to 2^53; what is larger is larger than any file, and only its length counts. */
  private varint(end: number): number {
    let value = 0;
    for (let scale = 1, byte = 0x80; byte >= 0x80; scale *= 128) {
      if (this.at >= end || scale > 2 ** 63) throw malformed(`no number ends at byte ${this.at}`);
      byte = this.cursor.byte(this.at++);
      value += (byte & 0x7f) * scale;
    }
    return value;
  }
}

/** `value` in protobuf's variable length. */
export function varint(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

/** The bytes of all pieces. */
export function joined(pieces: Pieces): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.length);
  let at = 0;
  for (const part of pieces.parts) {
    bytes.set(part.read(0, part.length), at);
    at += part.length;
  }
  return bytes;
}

/** A length-delimited field. */
export function delimited(number: number, value: Pieces): Pieces {
  const head = Uint8Array.from([...varint(number * 8 + LENGTH), ...varint(value.length)]);
  return {
    length: head.length + value.length,
    parts: [new MemorySource(head), ...value.parts],
  };
}

function wireOf(scalar: ScalarType): number {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return LENGTH;
    case ScalarType.FLOAT:
      return FIXED32;
    case ScalarType.DOUBLE:
      return FIXED64;
    default:
      return VARINT;
  }
}

function isPacked({ fieldKind, scalar }: DescField, field: WireField): boolean {
  return (
    fieldKind === 'list' &&
    scalar !== undefined &&
    wireOf(scalar) !== LENGTH &&
    field.wire === LENGTH
  );
}

/** @bufbuild/protobuf reads a field as its type has it, whatever the file says that it is. */
function requireWire(description: DescField, field: WireField): void {
  const { message, scalar } = description;
  const expected = message ? LENGTH : wireOf(scalar ?? ScalarType.INT32);
  if (field.wire === expected || isPacked(description, field)) return;
  throw malformed(`${description.parent.name}.${description.name} has wire type ${field.wire}`);
}

/**
 * A message of that description, the whole of `source`, with some fields replaced. All messages that the description knows
 * of are walked, so that nothing in them reaches out of them.
 * @throws StruPruneError ERR_CHECKPOINT
 */
export function rewrite(schema: DescMessage, source: Source, replace: Replace): Pieces {
  const walker = new Walker(source);

  function message(owner: DescMessage, start: number, end: number, depth: number) {
    if (depth > DEEPEST) throw malformed(`messages in more than ${DEEPEST} others`);
    const pieces: Pieces = { length: 0, parts: [] };
    const append = (length: number, parts: Source[]) => {
      pieces.length += length;
      for (const part of parts) pieces.parts.push(part);
    };
    let kept = start;
    for (const field of walker.fields(start, end)) {
      const replaced = replace(owner, field, source) ?? nested(owner, field, depth);
      if (!replaced) continue;
      append(field.start - kept, [new Range(source, kept, field.start - kept)]);
      append(replaced.length, replaced.parts);
      kept = field.end;
    }
    if (kept === start) return undefined;
    append(end - kept, [new Range(source, kept, end - kept)]);
    return pieces;
  }

  function nested(owner: DescMessage, field: WireField, depth: number): Pieces | undefined {
    const description = fieldOf(owner, field.number);
    if (!description) return undefined;
    requireWire(description, field);
    if (isPacked(description, field)) walker.charge(field.end - field.value);
    if (!description.message) return undefined;
    const inner = message(description.message, field.value, field.end, depth + 1);
    return inner && delimited(field.number, inner);
  }

  return message(schema, 0, source.length, 0) ?? { length: source.length, parts: [source] };
}

const known = new Map<DescMessage, Map<number, DescField>>();

function fieldOf(owner: DescMessage, number: number): DescField | undefined {
  let fields = known.get(owner);
  if (!fields) {
    fields = new Map(owner.fields.map((field) => [field.number, field]));
    known.set(owner, fields);
  }
  return fields.get(number);
}
