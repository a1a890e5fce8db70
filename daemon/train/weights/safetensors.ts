import { HildaError } from '../../core/errors.js';
import { elementCount } from '../../network/graph.js';

export interface NamedTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/**
 * The safetensors layout, float32 only: u64 header length, JSON header `{name: {dtype, shape, data_offsets}}`, raw
 * little-endian data. `metadata` is the header's `__metadata__`.
 */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

export function writeSafetensors({ tensors, metadata }: TensorFile): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dims, data }] of tensors) {
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + offset).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Throws SUPERNET_INVALID for anything but a whole file of float32 tensors. */
export function readSafetensors(bytes: Uint8Array): TensorFile {
  const invalid = (why: string, cause?: unknown): HildaError =>
    new HildaError('SUPERNET_INVALID', `the weights file is damaged: ${why}`, { cause });
  if (bytes.length < 8) throw invalid('too short');
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > bytes.length - 8) throw invalid('the header is cut off');
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> & {
    __metadata__?: Record<string, string>;
  };
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch (cause) {
    throw invalid('the header is no JSON', cause);
  }
  const { __metadata__: metadata = {}, ...entries } = header;
  const body = bytes.subarray(8 + length);
  const tensors = new Map<string, NamedTensor>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const [from, to] = offsets ?? [0, -1];
    if (dtype !== 'F32' || to - from !== 4 * elementCount(shape) || to > body.length)
      throw invalid(`the tensor ${name}`);
    // A copy: the file's bytes may lie unaligned, and a Buffer's `slice` would share the whole file's memory.
    tensors.set(name, {
      dims: shape,
      data: new Float32Array(Uint8Array.from(body.subarray(from, to)).buffer),
    });
  }
  return { tensors, metadata };
}
