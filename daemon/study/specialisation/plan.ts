import { HildaError } from '../../core/errors.js';
import type { StudyId } from '../../core/ids.js';
import type { Store } from '../../store/contract.js';
import { spaceIdOf } from '../earlier-studies.js';
import { parseStudySpec, type StudySpec } from '../spec.js';
import { type DeviceSpec, deviceSpecs } from './device-spec.js';
import type { ColumnPlan, SpecialisationPlan } from './shapes.js';

export interface SpecialisationRequest {
  readonly spec: unknown;
  /** Ids, or their unique beginnings. */
  readonly devices: readonly string[];
  /** Accuracy given up for speed, as a share of 1. */
  readonly slack: number;
  /** Sent to the finals by each search, at most. */
  readonly finalists: number;
  readonly protocol?: string | undefined;
  /** Studies of one of the devices each that are taken as its search; they may have ended. */
  readonly searches?: readonly string[] | undefined;
}

/** What is to be done on each device. Throws SPEC_INVALID, DEVICE_UNKNOWN, STUDY_UNKNOWN before anything has started. */
export async function planSpecialisation(
  { spec, devices, slack, finalists, protocol, searches = [] }: SpecialisationRequest,
  store: Pick<Store, 'devices' | 'study'>,
): Promise<SpecialisationPlan> {
  const parts = deviceSpecs(spec, devices, await store.devices());
  const given = new Map<string, StudyId>();
  for (const id of searches as readonly StudyId[]) {
    const study = parseStudySpec((await store.study(id)).spec);
    const part = parts.find(({ deviceId }) => deviceId === study.devices[0]);
    if (!part || study.devices.length > 1) throw wrong(`${id} is no study of one of these devices alone`);
    const other = given.get(part.deviceId);
    if (other) throw wrong(`${id} and ${other} are both of ${part.deviceId}`);
    requireSame(id, study, part);
    given.set(part.deviceId, id);
  }
  const columns = parts.map(
    ({ deviceId, host, speed, spec: own }): ColumnPlan => ({
      deviceId,
      host,
      speed,
      spec: own as unknown as ColumnPlan['spec'],
      search: given.get(deviceId) ?? null,
    }),
  );
  return { slack, finalists, protocol: protocol ?? null, columns };
}

/** A search that was given must be the one that would have been started, as far as its winner goes. */
function requireSame(id: StudyId, study: StudySpec, { spec, speed }: DeviceSpec): void {
  if (spaceIdOf(study) !== spaceIdOf(spec))
    throw wrong(`${id} searches another space than ${spaceIdOf(spec)}`);
  for (const wanted of ['accuracy', speed])
    if (!study.objectives.some(({ metric }) => metric === wanted))
      throw wrong(`${id} does not search for ${wanted}`);
}

const wrong = (what: string): HildaError =>
  new HildaError('SPEC_INVALID', `searches: ${what}`, { details: { fields: ['searches'] } });
