import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { bindInputs } from '../../network/bind-inputs.js';
import { dtypeByNumber, type Feed, type Graph, type Tensor } from '../../network/graph.js';
import { modelBytes, tfliteOf } from '../../network/model-source.js';
import { readModelFile } from '../../network/read-model-file.js';
import { checked } from '../checked.js';

/**
 * A network on its way to an agent: the bytes that a runtime loads, and what the user chose for its inputs. A file read
 * there anew is the same network only with both.
 */
const count = z.number().int().min(0);
const name = z.string().max(5000);
const dims = z.array(count).max(64);

export const bindingSchema = z.object({
  shapes: z.array(z.object({ name, dims })).max(10_000),
  ranges: z.array(z.object({ name, low: z.number(), high: z.number() })).max(10_000),
});
export type Binding = z.infer<typeof bindingSchema>;

const headSchema = z
  .array(
    z.object({
      name,
      dims,
      dtype: z.enum([...dtypeByNumber.values()] as [string, ...string[]]),
      bytes: count,
      strings: z.array(z.string()).optional(),
    }),
  )
  .max(10_000);

export interface SentNetwork {
  readonly model: Uint8Array;
  readonly binding: Binding;
  /** Elements that the user gave, packed; null where there are none. */
  readonly feeds: Uint8Array | null;
}

export function sentNetwork(network: Graph): SentNetwork {
  const closed = network.inputs.filter(({ container, unranked }) => !container && !unranked);
  const shapes = closed.flatMap(({ name, dims }) =>
    dims.every((dim) => typeof dim === 'number') ? [{ name, dims: dims as number[] }] : [],
  );
  const feeds = [...(network.feeds ?? [])];
  const ranges = feeds.flatMap(([name, feed]) =>
    'data' in feed ? [] : [{ name, low: feed.low, high: feed.high }],
  );
  const tensors = feeds.flatMap(([name, feed]) => ('data' in feed ? [{ name, tensor: feed }] : []));
  return {
    // The file itself, which a phone's runner may take; what reads it there converts it as here.
    model: tfliteOf(network) ?? modelBytes(network),
    binding: { shapes, ranges },
    feeds: tensors.length > 0 ? packed(tensors) : null,
  };
}

/** Throws MESSAGE_INVALID for feeds that `sentNetwork` did not make, and what `readModelFile` and `bindInputs` throw. */
export function receivedNetwork(model: Uint8Array, binding: Binding, feeds: Uint8Array | null): Graph {
  const given = new Map<string, Feed>(binding.ranges.map(({ name, low, high }) => [name, { low, high }]));
  for (const [name, tensor] of feeds ? unpacked(feeds) : []) given.set(name, tensor);
  const shapes = Object.fromEntries(binding.shapes.map(({ name, dims }) => [name, dims]));
  return bindInputs(readModelFile(model), { shapes, feeds: given });
}

/** `u32 length of the head | head as JSON | elements`, little endian. */
function packed(tensors: readonly { readonly name: string; readonly tensor: Tensor }[]): Uint8Array {
  const head = tensors.map(({ name, tensor: { dtype, dims, data, strings } }) => ({
    name,
    dims,
    dtype,
    bytes: data.byteLength,
    ...(strings && { strings: strings.map((text) => Buffer.from(text).toString('base64')) }),
  }));
  const text = new TextEncoder().encode(JSON.stringify(head));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length, true);
  return new Uint8Array(Buffer.concat([length, text, ...tensors.map(({ tensor }) => tensor.data)]));
}

function unpacked(bytes: Uint8Array): [string, Tensor][] {
  const malformed = (cause?: unknown): HildaError =>
    new HildaError('MESSAGE_INVALID', 'what inputs hold came malformed', { cause });
  if (bytes.length < 4) throw malformed();
  let at = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(4, at)));
  } catch (cause) {
    throw malformed(cause);
  }
  const tensors = checked(headSchema, head).map(
    ({ name, dims, dtype, bytes: size, strings }): [string, Tensor] => {
      const data = new Uint8Array(bytes.subarray(at, at + size));
      at += size;
      const text = strings && { strings: strings.map((one) => new Uint8Array(Buffer.from(one, 'base64'))) };
      return [name, { dtype: dtype as Tensor['dtype'], dims, data, ...text }];
    },
  );
  if (at !== bytes.length) throw malformed();
  return tensors;
}
