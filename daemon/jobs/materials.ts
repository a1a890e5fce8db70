import { HildaError } from '../core/errors.js';
import { constantInputs } from '../devices/bind-network.js';
import type { Calibrating, Deployment, Tensors } from '../devices/contract.js';
import { parseRanges } from '../devices/stored-ranges.js';
import type { Graph } from '../network/graph.js';
import { isPiece } from '../reading/read-examples.js';
import { flatExamples, type InputShape, inPieces } from '../runtime/calibration-data.js';
import { asTensors } from '../runtime/tensors.js';
import { bytesOf, networkOf, type Places } from './bound-network.js';
import type { Given, InputsRef, ParsedJob } from './job.js';

/** The network of a job; null where it names none. Throws NOT_FOUND where its model is gone. */
export async function networkOfJob(
  { network }: Pick<ParsedJob, 'network'>,
  given: Given,
  places: Places,
): Promise<Graph | null> {
  if (given.network) return given.network;
  if (network && 'model' in network) return networkOf(network, places);
  if (!network) return null;
  throw new HildaError('NOT_FOUND', 'the network of the job was in the memory of a daemon that ended');
}

/** What a deployment's scales come from. Pieces are read when they are needed, one at a time. */
export async function calibratingOf(
  inputs: InputsRef | null,
  network: Graph,
  places: Places,
): Promise<Calibrating> {
  if (!inputs) return {};
  if ('ranges' in inputs) return { ranges: parseRanges(await bytesOf(inputs.ranges, 'blob', places)) };
  const { inputs: ports } = constantInputs(network);
  if ('examples' in inputs) return { calibration: flatExamples(ports, inputs.examples) };
  if ('blobs' in inputs) {
    const pieces = inputs.blobs.map((sha256) => async () => {
      const bytes = await bytesOf(sha256, 'blob', places);
      return places.reading.examples(bytes, ports);
    });
    return { calibration: await inPieces(pieces) };
  }
  throw new HildaError('REQUEST_INVALID', 'a network is calibrated on examples, or by ranges');
}

/** One example for a network that is run as it is. Throws what `feedOf` throws. */
export const feedOfNetwork = (inputs: InputsRef, network: Graph, places: Places): Promise<Tensors> =>
  exampleFor(constantInputs(network).inputs, inputs, places);

/** One example for a network that was deployed. Throws REQUEST_INVALID where it is no one example, or of another size. */
export async function feedOf(
  inputs: InputsRef | null,
  deployment: Deployment,
  places: Places,
): Promise<Tensors> {
  const ports = [deployment.input, ...deployment.moreInputs].map(
    ({ name, dims }): InputShape => ({ name, dims, dtype: 'float32' }),
  );
  return exampleFor(ports, inputs, places);
}

async function exampleFor(
  ports: readonly InputShape[],
  inputs: InputsRef | null,
  places: Places,
): Promise<Tensors> {
  if (inputs && 'values' in inputs) return oneExample(ports, inputs.values, places);
  if (inputs && 'blob' in inputs)
    return oneExample(ports, await bytesOf(inputs.blob, 'blob', places), places);
  throw new HildaError('REQUEST_INVALID', 'no input was given');
}

async function oneExample(
  ports: readonly InputShape[],
  input: readonly number[] | Uint8Array,
  { reading }: Pick<Places, 'reading'>,
): Promise<Tensors> {
  const examples =
    input instanceof Uint8Array && isPiece(input)
      ? await reading.examples(input, ports)
      : flatExamples(ports, [input instanceof Uint8Array ? floatsIn(input) : input]);
  if (examples.count !== 1)
    throw new HildaError('REQUEST_INVALID', `one input is run at a time, ${examples.count} were given`);
  for await (const feed of examples.feeds()) return asTensors(feed);
  throw new HildaError('REQUEST_INVALID', 'no input was given');
}

function floatsIn(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 === 0) return new Float32Array(new Uint8Array(bytes).buffer);
  throw new HildaError('REQUEST_INVALID', `${bytes.length} bytes are no whole number of float32 elements`);
}
