import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import { targetKey } from '../core/target.js';
import { constantInputs } from '../devices/bind-network.js';
import type { Deployment, Device, Tensors } from '../devices/contract.js';
import { type Materials, perform } from '../devices/perform.js';
import type { Work } from '../devices/work.js';
import { isTimedAlike } from '../measure/assemble.js';
import { asConverted } from '../measure/converted.js';
import { uncountedOperators } from '../measure/uncounted.js';
import { structureHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import type { Lease, MeasurementRecord, Store } from '../store/contract.js';
import type { NewRunning } from '../store/rollout-contract.js';
import { inputsUsed, type Places } from './bound-network.js';
import { deploymentValue, nothingDeployed, requireDeployment } from './deployments.js';
import type { Entry } from './entry.js';
import type { ParsedJob } from './job.js';
import { calibratingOf, feedOf, feedOfNetwork } from './materials.js';

/** What an attempt gave, before it is stored. */
export interface Yield {
  /** Taken now. */
  readonly measurement?: Measurement;
  /** Taken before, and as good. */
  readonly recalled?: MeasurementRecord;
  readonly value: unknown;
  readonly outputs: Tensors | null;
  readonly classifies: boolean;
  /** For the job's record. */
  readonly result: Json;
  readonly values?: Readonly<Record<string, Json>>;
  /** What the device runs from now on, where a person put it there. */
  readonly running?: NewRunning;
  /** Who has the device from now on. */
  readonly handOver?: { readonly holder: string; readonly ttlMs: number };
}

/** Of a job that hands its device to a person or a script. */
export const handedOver = (
  { holder, ttlMs }: { readonly holder: string; readonly ttlMs: number },
  { deviceId, token }: Lease,
): Yield => ({
  value: null,
  outputs: null,
  classifies: false,
  result: { deviceId, holder, token },
  handOver: { holder, ttlMs },
});

export interface AttemptParts {
  readonly store: Store;
  readonly places: Places;
  readonly signal: AbortSignal;
}

/** Does a job's work on its device. Records nothing: whose fault a failure is, may need a second try. */
export async function attempt(
  { job, given }: Entry,
  device: Device,
  id: DeviceId,
  network: Graph | null,
  { store, places, signal }: AttemptParts,
): Promise<Yield> {
  const classifies = device.classify !== undefined;
  const recalled = network && (await recall(job, device, id, network, store));
  if (recalled) {
    const result = { measurementId: recalled.id, classifies };
    return { recalled, value: null, outputs: null, classifies, result };
  }
  const { work, materials } = await prepared(job, given, id, network, { store, places });
  const { value, outputs = null } = await perform(device, work, { ...materials, id, options: { signal } });
  const plain = { value, outputs, classifies };
  switch (work.kind) {
    case 'measure':
      return { ...plain, measurement: told(value as Measurement, job, network), result: { classifies } };
    case 'deploy': {
      const deployment = value as Deployment;
      const running = byHand(job, deployment, network);
      return {
        ...plain,
        result: value as Json,
        values: deploymentValue(id, deployment),
        ...(running && { running }),
      };
    }
    case 'run':
    case 'runDeployed':
      return { ...plain, result: { outputs: plainTensors(outputs ?? {}) } };
    case 'rehearse':
      return { ...plain, result: value as Json };
    case 'erase':
      return { ...plain, result: null, values: nothingDeployed(id) };
    case 'profile':
      return { ...plain, result: { operators: value as Json } };
    default:
      // Classes are for the owner, who is there: they are many.
      return { ...plain, result: null };
  }
}

/** What a device runs that a person deployed to, with what it takes to put it back. A rollout keeps its own record. */
function byHand(
  { owner, network, inputs }: ParsedJob,
  deployment: Deployment,
  graph: Graph | null,
): NewRunning | null {
  if (owner.kind !== 'person' || !network || !('model' in network)) return null;
  const body = { place: 'flash', network, inputs, deployment };
  return { name: graph?.name || 'model', version: null, body: body as unknown as Json };
}

/** Tensors as JSON. */
const plainTensors = (tensors: Tensors): Record<string, { dims: number[]; data: number[] }> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data }]) => [name, { dims: [...dims], data: [...data] }]),
  );

async function prepared(
  { work, inputs }: ParsedJob,
  given: Entry['given'],
  id: DeviceId,
  network: Graph | null,
  { store, places }: Omit<AttemptParts, 'signal'>,
): Promise<{ readonly work: Work; readonly materials: Materials }> {
  const plain = {
    network,
    inputs: given.inputs ?? [],
    ...(given.examples && { examples: given.examples }),
  };
  if (work.kind === 'runDeployed') {
    const deployment = work.deployment ?? (await requireDeployment(id, store));
    const feeds = given.inputs ?? [await feedOf(inputs, deployment, places)];
    return { work: { kind: 'runDeployed', deployment }, materials: { ...plain, inputs: feeds } };
  }
  if (work.kind === 'lease') throw new HildaError('INTERNAL', 'a lease is no work of a device');
  if (work.kind === 'run' && inputs && network && !given.inputs)
    return { work, materials: { ...plain, inputs: [await feedOfNetwork(inputs, network, places)] } };
  if ((work.kind !== 'deploy' && work.kind !== 'rehearse') || !network) return { work, materials: plain };
  const { calibration = given.inputs ?? [], ranges = work.ranges } = await calibratingOf(
    inputs,
    network,
    places,
  );
  const materials = { network: constantInputs(network), inputs: calibration };
  return { work: { ...work, ranges: ranges as never }, materials };
}

/** What the measurement of a person's model says of the model beside its costs. */
function told(taken: Measurement, { network: ref }: ParsedJob, network: Graph | null): Measurement {
  if (!network || !ref || !('model' in ref)) return taken;
  const measured = asConverted(taken, network);
  const uncounted = uncountedOperators(network);
  const inputs = inputsUsed(network);
  const manifest = { ...measured.manifest, inputs, ...(uncounted.length > 0 && { uncounted }) };
  return { ...measured, manifest };
}

/** A valid measurement of the same network, target, protocol and timing rule, where the job takes one. */
async function recall(
  { work }: ParsedJob,
  device: Device,
  deviceId: DeviceId,
  network: Graph,
  store: Store,
): Promise<MeasurementRecord | undefined> {
  if (work.kind !== 'measure' || !('recall' in work) || !work.recall) return undefined;
  const stored = await store.measurements({ deviceId, structureHash: structureHash(network) });
  return stored.find(
    (one) =>
      one.verdict === 'valid' &&
      isTimedAlike(one) &&
      one.protocol === work.protocol.name &&
      one.takenAtMs >= work.recallSinceMs &&
      // A board's plan under a study's RAM limit trades time for memory.
      (one.manifest.ramLimitBytes ?? null) === null &&
      targetKey(one.target) === targetKey(device.target),
  );
}
