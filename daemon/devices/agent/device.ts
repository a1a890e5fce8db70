import { asHildaError, HildaError } from '../../core/errors.js';
import type { Measurement, OperatorCost } from '../../core/measurement.js';
import { type Target, targetKey } from '../../core/target.js';
import type { Calibration } from '../../measure/calibration.js';
import type { Protocol } from '../../measure/protocol.js';
import { structureHash } from '../../network/canonical-text.js';
import type { Graph } from '../../network/graph.js';
import { writeOnnx } from '../../network/write-onnx.js';
import { checked } from '../checked.js';
import type { CallOptions, Device, Limits } from '../contract.js';
import type { AgentHub } from './hub.js';
import {
  asMeasurement,
  calibrationSchema,
  measurementSchema,
  type OfferedDevice,
  operatorCostsSchema,
} from './wire.js';

/** A device of an agent: the work goes there, the word that comes back is checked before it is believed. */
export class AgentDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #hub: AgentHub;
  readonly #agentId: string;
  readonly #device: string;
  readonly #closing = new AbortController();
  #calibration: Calibration | null = null;

  constructor(hub: AgentHub, agentId: string, { id, target }: OfferedDevice) {
    this.#hub = hub;
    this.#agentId = agentId;
    this.#device = id;
    this.target = target;
  }

  async calibrate({
    known,
    ...options
  }: CallOptions & { readonly known?: Calibration }): Promise<Calibration> {
    const work = { kind: 'calibrate', known: known ?? this.#calibration } as const;
    this.#calibration = known ?? checked(calibrationSchema, await this.#perform(work, options));
    return this.#calibration;
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const work = { kind: 'measure', protocol, calibration: this.#calibration } as const;
    const answer = await this.#perform(work, { ...options, bytes: writeOnnx(network) });
    const measurement = asMeasurement(checked(measurementSchema, answer));
    if (targetKey(measurement.target) !== targetKey(this.target))
      throw new HildaError('MESSAGE_INVALID', `the agent ${this.#agentId} answered for another target`);
    if (measurement.structureHash !== structureHash(network))
      throw new HildaError('MESSAGE_INVALID', `the agent ${this.#agentId} answered for another network`);
    return { ...measurement, manifest: { ...measurement.manifest, agent: this.#agentId } };
  }

  async profile(network: Graph, options: CallOptions): Promise<readonly OperatorCost[]> {
    return checked(
      operatorCostsSchema,
      await this.#perform({ kind: 'profile' }, { ...options, bytes: writeOnnx(network) }),
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async #perform(
    work: Parameters<AgentHub['perform']>[2],
    options: Parameters<AgentHub['perform']>[3],
  ): Promise<unknown> {
    if (this.#closing.signal.aborted) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    try {
      return await this.#hub.perform(this.#agentId, this.#device, work, { ...options, signal });
    } catch (thrown) {
      throw asHildaError(thrown);
    }
  }
}
