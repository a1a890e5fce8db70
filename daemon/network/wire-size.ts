import { HildaError } from '../core/errors.js';
import { invalid } from './onnx-numbers.js';

/** How a field is decoded: a message of its own, or numbers packed behind one another, with the bytes each becomes. */
type FieldShape = Message | { readonly packed: 'varint' | 4 | 8; readonly decodedBytes: number };
interface Message {
  readonly fields: ReadonlyMap<number, FieldShape>;
  readonly isNode?: true;
}

/** Objects and elements as V8 holds them, measured roughly: a field with its place in an array, a number, a 64-bit integer. */
const fieldBytes = 48;
const numbers = { packed: 'varint', decodedBytes: 8 } as const;
const longs = { packed: 'varint', decodedBytes: 48 } as const;
const floats = { packed: 4, decodedBytes: 8 } as const;
const doubles = { packed: 8, decodedBytes: 8 } as const;

/** onnx.proto3, as far as messages hold messages and packed numbers; fields of the same number are one. */
const leaf: Message = { fields: new Map() };
const tensor: Message = {
  fields: new Map<number, FieldShape>([
    [1, longs],
    [3, leaf],
    [4, floats],
    [5, numbers],
    [7, longs],
    [10, doubles],
    [11, longs],
    [13, leaf],
  ]),
};
const sparse: Message = {
  fields: new Map<number, FieldShape>([
    [1, tensor],
    [2, tensor],
    [3, longs],
  ]),
};
const shape: Message = { fields: new Map([[1, leaf]]) };
const denseType: Message = { fields: new Map([[2, shape]]) };
const typeFields = new Map<number, FieldShape>();
const type: Message = { fields: typeFields };
const elementType: Message = { fields: new Map([[1, type]]) };
typeFields.set(1, denseType).set(4, elementType).set(8, denseType).set(9, elementType);
typeFields.set(5, { fields: new Map([[2, type]]) }).set(7, leaf);
const value: Message = { fields: new Map([[2, type]]) };
const attributeFields = new Map<number, FieldShape>();
const attribute: Message = { fields: attributeFields };
const node: Message = { fields: new Map([[5, attribute]]), isNode: true };
const graph: Message = {
  fields: new Map<number, FieldShape>([
    [1, node],
    [5, tensor],
    [11, value],
    [12, value],
    [13, value],
    [14, { fields: new Map([[2, leaf]]) }],
    [15, sparse],
  ]),
};
attributeFields.set(5, tensor).set(6, graph).set(7, floats).set(8, longs).set(10, tensor).set(11, graph);
attributeFields.set(14, type).set(15, type).set(22, sparse).set(23, sparse);
const model: Message = {
  fields: new Map<number, FieldShape>([
    [7, graph],
    [8, leaf],
    [14, leaf],
    [20, { fields: new Map<number, FieldShape>([1, 2].map((n) => [n, graph])) }],
    [
      25,
      {
        fields: new Map<number, FieldShape>([
          [7, node],
          [9, leaf],
          [11, attribute],
          [12, value],
        ]),
      },
    ],
  ]),
};

export interface WireLimits {
  readonly maxNodes: number;
  /** What decoding makes of the file, beside its own bytes. */
  readonly maxDecodedBytes: number;
  /** Messages within messages: an attribute's graph is three deep. */
  readonly maxDepth: number;
}

const defaultWireLimits: WireLimits = {
  maxNodes: 100_000,
  maxDecodedBytes: 768 * 2 ** 20,
  maxDepth: 96,
};

/**
 * Counts what an ONNX file would become, before it is decoded: it walks the wire as protobufjs does, takes nothing apart and
 * keeps nothing. Throws NETWORK_TOO_LARGE at the first field beyond a limit, ONNX_INVALID for a message that is marked as
 * another kind of field. What is cut off or damaged otherwise is left to the decoder.
 */
export function checkWireSize(bytes: Uint8Array, limits: WireLimits = defaultWireLimits): void {
  let at = 0;
  let nodes = 0;
  let decoded = 0;
  const refuse = (what: string, is: number, max: number): never => {
    throw new HildaError('NETWORK_TOO_LARGE', `${what}: more than ${max}`, { details: { is, max } });
  };
  const grow = (more: number): void => {
    decoded += more;
    if (decoded > limits.maxDecodedBytes)
      refuse('bytes of memory to decode the file', decoded, limits.maxDecodedBytes);
  };
  const varint = (): number => {
    let number = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++] as number;
      // The decoder takes tags and lengths as 32 bits, and passes over what follows.
      if (scale < 2 ** 35) number += (byte & 127) * scale;
      if (byte < 128 || scale > 2 ** 62) break;
    }
    return number % 2 ** 32;
  };
  const countOf = (packed: 'varint' | 4 | 8, end: number): number => {
    if (packed !== 'varint') return Math.ceil((end - at) / packed);
    let count = 0;
    for (let i = at; i < end; i++) if ((bytes[i] as number) < 128) count++;
    return count;
  };
  const skip = (wireType: number): void => {
    if (wireType === 0) varint();
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = varint();
      at += length;
    }
    // Groups: their fields are passed by one after the other, and their end is a field of no length.
  };
  const walk = ({ fields }: Message, end: number, depth: number): void => {
    if (depth > limits.maxDepth) refuse('messages within messages', depth, limits.maxDepth);
    while (at < end) {
      const tag = varint();
      const wireType = tag & 7;
      const inner = fields.get(tag >>> 3);
      grow(fieldBytes);
      if (inner && 'fields' in inner) {
        if (wireType !== 2) throw invalid(`field ${tag >>> 3} is a message and marked as something else`);
        if (inner.isNode && ++nodes > limits.maxNodes) refuse('operators', nodes, limits.maxNodes);
        const length = varint();
        walk(inner, Math.min(at + length, bytes.length), depth + 1);
      } else if (inner && wireType === 2) {
        const length = varint();
        const last = Math.min(at + length, bytes.length);
        grow(countOf(inner.packed, last) * inner.decodedBytes);
        at += length;
      } else skip(wireType);
    }
  };
  walk(model, bytes.length, 0);
}
