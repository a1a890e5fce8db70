import { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { targetKey } from '../core/target.js';
import type { NetworkRanges } from '../devices/stored-ranges.js';
import { bytesOf, networkOf, type Places } from '../jobs/bound-network.js';
import type { InputsRef, ModelRef } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import { parseSelector } from '../jobs/selector.js';
import { loadProtocol } from '../measure/protocols.js';
import { structureHash, weightsHash } from '../network/canonical-text.js';
import type { DeviceRecord, MeasurementRecord, Store } from '../store/contract.js';
import { oneTrial } from '../store/one-trial.js';
import { promisesFor } from './promises.js';
import type { RolloutRequest, RolloutSpec } from './request.js';
import { inTurn, planWaves, waveOfPlace } from './waves.js';

export interface ResolveParts {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'devicesOf'>;
  readonly places: Places;
  /** The network of a trial with the weights that it was scored with. */
  readonly trial: (
    study: StudyId,
    number: number,
  ) => Promise<{ readonly onnx: Uint8Array; readonly ranges: NetworkRanges | null }>;
}

export interface ResolvedRollout {
  readonly name: string;
  readonly request: RolloutRequest;
  readonly devices: readonly { readonly deviceId: DeviceId; readonly wave: number; readonly body: Json }[];
}

/**
 * Names what a specification means: the network, kept for good with what boards quantise it by; the devices and their waves; the
 * promise of each target. Throws SPEC_INVALID, DEVICE_UNKNOWN, NOT_FOUND, STUDY_UNKNOWN, PROTOCOL_UNKNOWN, and STATE_CONFLICT for
 * a trial that is not complete and a device that was taken out of use.
 */
export async function resolveRollout(spec: RolloutSpec, parts: ResolveParts): Promise<ResolvedRollout> {
  const { store, places } = parts;
  loadProtocol(spec.protocol);
  const devices = await devicesMeant(spec, parts);
  const waves = planWaves(spec.waves, devices.length);
  const inTrial = await measuredInTrial(spec, store);
  const { network, inputs, source } = await subjectOf(spec, parts);
  const graph = await networkOf(network, places);
  const structure = structureHash(graph);
  const measured = [
    ...inTrial,
    ...(await store.measurements({ structureHash: structure, verdict: 'valid', limit: 10_000 })),
  ];
  const { pauseS, stop, protocol, margin, selfTest, atOnce, deadlineS, restoreS } = spec;
  const request: RolloutRequest = {
    network,
    inputs,
    structureHash: structure,
    weightsHash: weightsHash(graph),
    source,
    waves,
    promises: promisesFor(devices, spec, measured),
    pauseS,
    stop,
    protocol,
    margin,
    selfTest,
    atOnce,
    deadlineS,
    restoreS,
  };
  const waveOf = waveOfPlace(waves);
  const ordered = inTurn(devices, ({ target }) => targetKey(target));
  return {
    name: spec.name ?? nameOf(spec, graph.name),
    request,
    devices: ordered.map(({ id }, place) => ({ deviceId: id, wave: waveOf[place] ?? 0, body: {} })),
  };
}

async function devicesMeant(
  { devices }: Pick<RolloutSpec, 'devices'>,
  { jobs, store }: Pick<ResolveParts, 'jobs' | 'store'>,
): Promise<DeviceRecord[]> {
  const ids = new Set<DeviceId>();
  for (const text of typeof devices === 'string' ? [devices] : devices)
    for (const id of await jobs.devicesOf(parseSelector(text))) ids.add(id);
  const records: DeviceRecord[] = [];
  for (const id of ids) {
    const record = await store.device(id);
    if (record.state !== 'adopted')
      throw new HildaError('STATE_CONFLICT', `the device ${id} is ${record.state}`, {
        hint: `Take it into use with \`hilda devices adopt ${id}\`.`,
        details: { deviceId: id },
      });
    records.push(record);
  }
  return records;
}

async function subjectOf(
  spec: RolloutSpec,
  { places, trial }: ResolveParts,
): Promise<{ network: ModelRef; inputs: InputsRef | null; source: string }> {
  const { model, study, trial: number, dims, shapes, inputs: filled, ranges, calibration } = spec;
  const { blobs } = places;
  const keep = async (sha256: string): Promise<string> => blobs.put(await bytesOf(sha256, 'blob', places));
  const given: InputsRef | null = ranges
    ? { ranges: await keep(ranges) }
    : calibration
      ? { blobs: await Promise.all(calibration.blobs.map(keep)) }
      : null;
  const bindings = { ...(dims && { dims }), ...(shapes && { shapes }), ...(filled && { inputs: filled }) };
  if (model !== undefined) {
    const kept = await blobs.put(await bytesOf(model, 'model', places));
    return {
      network: { model: kept, ...bindings },
      inputs: given,
      source: `the model ${model.slice(0, 12)}`,
    };
  }
  const exported = await trial(study as StudyId, number ?? 0);
  const own = exported.ranges && new TextEncoder().encode(JSON.stringify(exported.ranges));
  return {
    network: { model: await blobs.put(exported.onnx), ...bindings },
    inputs: given ?? (own ? { ranges: await blobs.put(own) } : null),
    source: `trial ${number} of ${study}`,
  };
}

/** What the devices of its study measured of the trial. */
async function measuredInTrial({ study, trial }: RolloutSpec, store: Store): Promise<MeasurementRecord[]> {
  if (study === undefined || trial === undefined) return [];
  const { measurements } = await oneTrial(study as StudyId, trial, store);
  const ids: MeasurementId[] = Object.values(measurements);
  return [...(await store.measurementsById(ids)).values()];
}

const nameOf = ({ study, trial }: RolloutSpec, graph: string): string => {
  if (study !== undefined) return `${study}-trial-${trial}`;
  const plain = graph
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 100);
  return plain === '' ? 'model' : plain;
};
