import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { CalibrationData } from '../../runtime/calibration-data.js';
import { asTensors } from '../../runtime/tensors.js';
import { checked } from '../checked.js';
import type { Tensors } from '../contract.js';

/**
 * Sets of named tensors as bytes: `u32 length of the head | head | float32 values`, little endian. The head is JSON: for
 * each set its tensors' names and dims, whose values follow in that order.
 */
const headSchema = z
  .array(
    z.array(z.object({ name: z.string().max(500), dims: z.array(z.number().int().min(0)).max(16) })).max(64),
  )
  .max(1000);

const elements = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

export function packTensors(sets: readonly Tensors[]): Uint8Array {
  const head = sets.map((set) => Object.entries(set).map(([name, { dims }]) => ({ name, dims })));
  const text = new TextEncoder().encode(JSON.stringify(head));
  const values = sets.flatMap((set) => Object.values(set).map(({ data }) => data));
  const count = values.reduce((sum, data) => sum + data.length, 0);
  const bytes = new Uint8Array(4 + text.length + 4 * count);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, text.length, true);
  bytes.set(text, 4);
  let at = 4 + text.length;
  for (const data of values) {
    for (const value of data) {
      view.setFloat32(at, value, true);
      at += 4;
    }
  }
  return bytes;
}

/** An agent gets its examples in one piece; more do not fit. */
const maxGatheredBytes = 128 * 2 ** 20;
const maxGathered = 1000;

/** Examples as tensors in memory, to be packed. Throws NETWORK_TOO_LARGE for more than an agent takes. */
export async function gathered({ count, feeds }: CalibrationData): Promise<Tensors[]> {
  const sets: Tensors[] = [];
  let bytes = 0;
  for await (const feed of feeds()) {
    const tensors = asTensors(feed);
    bytes += Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
    if (bytes > maxGatheredBytes || count > maxGathered)
      throw new HildaError(
        'NETWORK_TOO_LARGE',
        `${count} calibration inputs: an agent takes at most ${maxGathered}, of ${maxGatheredBytes} bytes together`,
        { hint: 'Give fewer inputs, or the ranges of `hilda search export` with --ranges.' },
      );
    sets.push(tensors);
  }
  return sets;
}

/** Throws MESSAGE_INVALID for anything that `packTensors` did not make. */
export function unpackTensors(bytes: Uint8Array): Tensors[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headEnd = bytes.length >= 4 ? 4 + view.getUint32(0, true) : Number.POSITIVE_INFINITY;
  if (headEnd > bytes.length) throw new HildaError('MESSAGE_INVALID', 'tensors that end within their head');
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(4, headEnd)));
  } catch (cause) {
    throw new HildaError('MESSAGE_INVALID', 'tensors whose head is not JSON', { cause });
  }
  const sets = checked(headSchema, head);
  const count = sets.flat().reduce((sum, { dims }) => sum + elements(dims), 0);
  if (headEnd + 4 * count !== bytes.length)
    throw new HildaError('MESSAGE_INVALID', `tensors of ${count} values in ${bytes.length - headEnd} bytes`);
  let at = headEnd;
  return sets.map((set) =>
    Object.fromEntries(
      set.map(({ name, dims }) => {
        const data = Float32Array.from({ length: elements(dims) }, (_, i) =>
          view.getFloat32(at + 4 * i, true),
        );
        at += 4 * data.length;
        return [name, { dims, data }];
      }),
    ),
  );
}
