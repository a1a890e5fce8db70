import type { ErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { rolloutStates, rolloutSteps } from './state-names.js';

export type RolloutState = (typeof rolloutStates)[number];
export type RolloutStep = (typeof rolloutSteps)[number];

/** A network on its way to many devices. */
export interface RolloutRecord {
  /** For example `rollout-3`. */
  readonly id: string;
  readonly name: string;
  /** From 1 on, by name. */
  readonly version: number;
  readonly state: RolloutState;
  /** What was asked, resolved: `daemon/rollouts/request.ts`. */
  readonly request: Json;
  /** The wave at work, from 0. */
  readonly wave: number;
  /** When the wave begins; null: at once. */
  readonly waitUntilMs: number | null;
  /** Devices that failed and were accepted by resuming. */
  readonly forgiven: number;
  /** Of an aborted one: what went live stays. */
  readonly keep: boolean;
  /** Why it stopped, or was refused. */
  readonly reason: ErrorDocument | null;
  /** Devices by step; steps without a device are left out. */
  readonly counts: Readonly<Partial<Record<RolloutStep, number>>>;
  readonly createdMs: number;
  readonly endedMs: number | null;
}

/** One device of a rollout. */
export interface RolloutDevice {
  readonly deviceId: DeviceId;
  readonly wave: number;
  readonly step: RolloutStep;
  /** How often the step was begun anew: a part of the keys of its jobs. */
  readonly attempt: number;
  readonly sinceMs: number;
  /** Why it was rolled back, or could not be. */
  readonly reason: ErrorDocument | null;
  /** What the steps need: `daemon/rollouts/device-body.ts`. */
  readonly body: Json;
}

/** What a device runs. */
export interface RunningRecord {
  readonly deviceId: DeviceId;
  readonly name: string;
  /** Null where it was deployed by hand. */
  readonly version: number | null;
  readonly rollout: string | null;
  readonly sinceMs: number;
  /** What it takes to run it, or to put it back: `daemon/rollouts/device-body.ts`. */
  readonly body: Json;
}

export type NewRunning = Pick<RunningRecord, 'name' | 'version' | 'body'>;

/** A step of a device, or a deployment by hand. */
export interface DeviceChange {
  /** Grows with each change. */
  readonly number: number;
  readonly deviceId: DeviceId;
  readonly rollout: string | null;
  readonly atMs: number;
  readonly step: RolloutStep | 'deployed';
  readonly name: string;
  readonly version: number | null;
  readonly reason: ErrorDocument | null;
}

export interface ChangeFilter {
  readonly deviceId?: DeviceId;
  readonly rollout?: string;
}

export interface StepChange {
  readonly step: RolloutStep;
  readonly attempt?: number;
  readonly reason?: ErrorDocument | null;
  readonly body?: Json;
  /** What the device runs from now on; null: nothing. Left out: as before. */
  readonly running?: (NewRunning & { readonly rollout: string | null; readonly sinceMs?: number }) | null;
}

/** Each method is one transaction; each change has an event of the topic `rollouts`. */
export interface RolloutStore {
  /**
   * A rollout in the state `checking`, its devices `planned`. Throws STATE_CONFLICT where a device is part of a rollout that has
   * not ended.
   */
  addRollout(rollout: {
    readonly name: string;
    readonly request: Json;
    readonly devices: readonly Pick<RolloutDevice, 'deviceId' | 'wave' | 'body'>[];
  }): Promise<RolloutRecord>;
  /** Throws NOT_FOUND. */
  rollout(id: string): Promise<RolloutRecord>;
  /** Newest first; a hundred where no limit is given. Throws NOT_FOUND where there is no rollout `before`. */
  rollouts(filter?: {
    readonly states?: readonly RolloutState[];
    readonly before?: string;
    readonly limit?: number;
  }): Promise<RolloutRecord[]>;
  rolloutCount(states?: readonly RolloutState[]): Promise<number>;
  /** Throws NOT_FOUND, and STATE_CONFLICT where it is in none of the states `from`. */
  setRollout(
    id: string,
    from: readonly RolloutState[],
    to: Partial<Pick<RolloutRecord, 'state' | 'wave' | 'waitUntilMs' | 'forgiven' | 'keep' | 'reason'>>,
  ): Promise<RolloutRecord>;
  /** In the order of their turns. Throws NOT_FOUND. */
  rolloutDevices(id: string): Promise<RolloutDevice[]>;
  /** Writes a step before it begins, with what the device runs from then on. Throws NOT_FOUND. */
  stepDevice(id: string, device: DeviceId, change: StepChange): Promise<RolloutDevice>;
  /** The rollout that a device is part of and that has not ended. */
  rolloutOf(device: DeviceId): Promise<string | undefined>;

  running(): Promise<RunningRecord[]>;
  runningOn(device: DeviceId): Promise<RunningRecord | undefined>;
  /** Newest first. The latest thousand of each device are kept. */
  deviceChanges(
    filter: ChangeFilter & { readonly before?: number; readonly limit?: number },
  ): Promise<DeviceChange[]>;
  deviceChangeCount(filter: ChangeFilter): Promise<number>;
}
