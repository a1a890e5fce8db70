import type { DeviceId } from '../../core/ids.js';

/** A phone that tells who it is. */
export interface Phone {
  /** adb's own name for the way to it. */
  readonly serial: string;
  readonly id: DeviceId;
  readonly label: string;
  readonly model: string;
  /** Android's first ABI, e.g. `arm64-v8a`; empty where it does not say. */
  readonly abi: string;
}
