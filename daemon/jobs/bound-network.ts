import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { BlobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { isNumericType } from '../data/elements.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { bindNetwork, type GivenInput } from '../devices/bind-network.js';
import type { Feed, Graph } from '../network/graph.js';
import type { DataReading } from '../reading/contract.js';
import { readHere } from '../reading/read-here.js';
import type { BlobStore } from '../store/contract.js';
import type { InputRef, ModelRef } from './job.js';

/** Where the bytes are that requests and jobs name. */
export interface Places {
  readonly blobs: BlobStore;
  readonly uploads: BlobStore;
  /** Decodes and checks a model. */
  readNetwork(bytes: Uint8Array): Promise<Graph>;
  /** Decodes arrays. */
  readonly reading: Pick<DataReading, 'examples' | 'tensor'>;
}

/** Throws NOT_FOUND where nothing of this id was uploaded. */
export async function bytesOf(
  sha256: string,
  what: string,
  { blobs, uploads }: Pick<Places, 'blobs' | 'uploads'>,
): Promise<Uint8Array> {
  const id = sha256 as BlobId;
  if (/^[0-9a-f]{64}$/.test(sha256))
    for (const place of [uploads, blobs]) if (await place.has(id)) return place.get(id);
  throw new HildaError('NOT_FOUND', `there is no ${what} ${sha256}`, {
    hint: `Upload it first: POST /v1/${what}s.`,
  });
}

/** The network of a request: the uploaded model with its dimensions fixed and its inputs filled as asked. */
export async function networkOf(
  { model, dims, shapes, inputs = {} }: ModelRef,
  places: Places,
): Promise<Graph> {
  const network = await places.readNetwork(await bytesOf(model, 'model', places));
  const isPlain = !dims && !shapes && Object.keys(inputs).length === 0;
  const known = isPlain ? plainlyBound.get(network) : undefined;
  if (known) return known;
  const given = new Map<string, GivenInput>();
  for (const [name, input] of Object.entries(inputs))
    given.set(name, await givenOf(name, input, network, places));
  const bound = await bindNetwork(network, { dims, shapes, inputs: given });
  if (isPlain) plainlyBound.set(network, bound);
  return bound;
}

/** Networks that were bound to nothing, where a reader answers with the same graph again. */
const plainlyBound = new WeakMap<Graph, Graph>();

async function givenOf(
  name: string,
  input: InputRef,
  { inputs, overridable = [] }: Graph,
  places: Places,
): Promise<GivenInput> {
  if (typeof input !== 'object') return input;
  if ('values' in input) return input;
  if ('range' in input) return { low: input.range[0], high: input.range[1] };
  const { blob, format } = input;
  const what = `the blob ${blob.slice(0, 12)}`;
  const bytes = await bytesOf(blob, 'blob', places);
  const dtype = [...overridable, ...inputs].find((one) => one.name === name)?.dtype;
  // Binding refuses it by its name, and its array is of no interest.
  if (dtype === undefined) return { values: [] };
  if (format === 'npy' && isNumericType(dtype))
    return { tensor: await places.reading.tensor(bytes, dtype, what) };
  return { file: bytesInMemory(what, bytes), format };
}

/** The inputs that a network was run with, for the manifest of a measurement. */
export const inputsUsed = ({ inputs, overridable = [], feeds }: Graph): Json =>
  [...inputs, ...overridable.filter(({ name }) => feeds?.has(name))].map(({ name, dtype, dims }) => ({
    name,
    dtype,
    dims: [...dims],
    values: valuesUsed(dtype, feeds?.get(name)),
  }));

function valuesUsed(dtype: string, feed: Feed | undefined): Json {
  if (!feed) return dtype.startsWith('float') ? 'from -1 to 1' : dtype === 'string' ? 'empty text' : 'zeros';
  if (!('data' in feed)) return `from ${feed.low} to ${feed.high}`;
  const { data, strings } = feed;
  return { sha256: sha256Hex(strings ? Buffer.concat(strings) : data) };
}

/** For jobs that bring everything in memory. */
export const nowhere: Places = {
  blobs: missing(),
  uploads: missing(),
  readNetwork: async () => {
    throw new HildaError('NOT_FOUND', 'there is no store of models here');
  },
  reading: readHere,
};

function missing(): Places['blobs'] {
  const none = async (): Promise<never> => {
    throw new HildaError('NOT_FOUND', 'there is no store of blobs here');
  };
  return { put: none, get: none, has: async () => false };
}
