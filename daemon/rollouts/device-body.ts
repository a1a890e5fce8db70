import type { Json } from '../core/json.js';
import type { Deployment } from '../devices/contract.js';
import type { InputsRef, ModelRef } from '../jobs/job.js';
import type { RunningRecord } from '../store/rollout-contract.js';

/** What it takes to run what a device runs, or to put it back. `kept`: by the daemon, which sends it with each run. */
export interface RunningBody {
  readonly place: 'flash' | 'kept';
  /** Null: deployed by a version that did not keep it. */
  readonly network: ModelRef | null;
  readonly inputs: InputsRef | null;
  readonly deployment: Deployment | null;
}

/** What the steps of a device know of each other. */
export interface DeviceBody {
  readonly place?: 'flash' | 'kept';
  /** Of a board: what the program is, and what it must answer. */
  readonly programCrc?: number;
  readonly answers?: readonly string[];
  /** What the device ran before; null: nothing that is known. Left out until it is known. */
  readonly previous?: Omit<RunningRecord, 'deviceId'> | null;
  /** Of the new network, once it is on the device. */
  readonly deployment?: Deployment;
  readonly measurementId?: string;
}

export const bodyOf = (stored: Json): DeviceBody => stored as unknown as DeviceBody;
export const runningBodyOf = (stored: Json): RunningBody => stored as unknown as RunningBody;
export const asJson = (value: DeviceBody | RunningBody): Json => JSON.parse(JSON.stringify(value)) as Json;
