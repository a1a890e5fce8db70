import { HildaError } from '../../core/errors.js';
import type { Measurement } from '../../core/measurement.js';
import type { Target } from '../../core/target.js';
import type { Graph } from '../../network/graph.js';
import type { Device, Limits } from '../contract.js';

export interface ReplayDeviceOptions {
  /** What was measured then; throws what failed then. */
  readonly measured: (network: Graph) => Measurement;
  /** Whether the device ran a network of its own. */
  readonly classifies: boolean;
}

/** A device that answers with what it, or another one, answered before. */
export class ReplayDevice implements Device {
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly target: Target;
  readonly classify?: NonNullable<Device['classify']>;
  readonly #measured: ReplayDeviceOptions['measured'];

  constructor(target: Target, { measured, classifies }: ReplayDeviceOptions) {
    this.target = target;
    this.#measured = measured;
    if (!classifies) return;
    this.classify = async () => {
      throw new HildaError('INTERNAL', 'a replay shows no examples');
    };
  }

  async measure(network: Graph): Promise<Measurement> {
    return this.#measured(network);
  }

  async close(): Promise<void> {}
}
