import type { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { BlobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { bindNetwork, constantInputs, type GivenInput } from '../devices/bind-network.js';
import { flatExamples, piecedExamples } from '../devices/calibration-data.js';
import type { Calibrating } from '../devices/contract.js';
import { parseRanges } from '../devices/stored-ranges.js';
import type { Feed, Graph } from '../network/graph.js';
import type { BindingsRequest, InputRequest } from './input-schemas.js';
import type { deploymentRequestSchema } from './measurement-schemas.js';
import type { DaemonServices } from './services.js';

/** Throws NOT_FOUND where nothing of this id was uploaded. */
export async function bytesOf(
  sha256: string,
  what: string,
  { blobs, uploads }: DaemonServices,
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
  { model, dims, shapes, inputs = {} }: BindingsRequest & { readonly model: string },
  services: DaemonServices,
): Promise<Graph> {
  const network = await services.readNetwork(await bytesOf(model, 'model', services));
  const given = new Map<string, GivenInput>();
  for (const [name, input] of Object.entries(inputs)) given.set(name, await givenOf(input, services));
  return bindNetwork(network, { dims, shapes, inputs: given });
}

async function givenOf(input: InputRequest, services: DaemonServices): Promise<GivenInput> {
  if (typeof input !== 'object') return input;
  if ('values' in input) return input;
  if ('range' in input) return { low: input.range[0], high: input.range[1] };
  const { blob, format } = input;
  return {
    file: bytesInMemory(`the blob ${blob.slice(0, 12)}`, await bytesOf(blob, 'blob', services)),
    format,
  };
}

/** What a deployment's scales come from. Pieces are read when they are needed, one at a time. */
export async function calibratingOf(
  { calibration, ranges }: Pick<z.infer<typeof deploymentRequestSchema>, 'calibration' | 'ranges'>,
  network: Graph,
  services: DaemonServices,
): Promise<Calibrating> {
  const { inputs } = constantInputs(network);
  if (ranges !== undefined) return { ranges: parseRanges(await bytesOf(ranges, 'blob', services)) };
  if (!('blobs' in calibration)) return { calibration: flatExamples(inputs, calibration) };
  const pieces = calibration.blobs.map((sha256) => () => bytesOf(sha256, 'blob', services));
  return { calibration: await piecedExamples(inputs, pieces) };
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
