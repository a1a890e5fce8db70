import { asHildaError, HildaError } from '../../core/errors.js';
import type { Measurement } from '../../core/measurement.js';
import { type Target, targetKey } from '../../core/target.js';
import type { Calibration } from '../../measure/calibration.js';
import type { Protocol } from '../../measure/protocol.js';
import { structureHash } from '../../network/canonical-text.js';
import type { Graph } from '../../network/graph.js';
import { checked } from '../checked.js';
import type { CallOptions, Device, Limits, Tensors } from '../contract.js';
import { rehearsalSchema } from '../schemas.js';
import type { Abilities } from '../work.js';
import { classesOf, packExamples } from './examples.js';
import type { AgentHub } from './hub.js';
import type { Answer } from './jobs.js';
import { sentNetwork } from './sent-network.js';
import { gathered, packTensors, unpackTensors } from './tensor-bytes.js';
import {
  asMeasurement,
  calibrationSchema,
  deploymentSchema,
  measurementSchema,
  mostHeldMs,
  type OfferedDevice,
  type OpenedDevice,
  openedSchema,
  operatorCostsSchema,
} from './wire.js';

/** Opens the device there, and gives it the optional members that the agent says it has. */
export async function openAgentDevice(
  hub: AgentHub,
  agentId: string,
  offered: OfferedDevice,
  signal: AbortSignal,
): Promise<Device> {
  const { value } = await hub.perform(agentId, offered.id, { kind: 'open' }, { signal });
  return new AgentDevice(hub, agentId, offered.id, checked(openedSchema, value));
}

/** A device of an agent: the work goes there, the word that comes back is checked before it is believed. */
class AgentDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  declare readonly calibrate?: NonNullable<Device['calibrate']>;
  declare readonly profile?: NonNullable<Device['profile']>;
  declare readonly classify?: NonNullable<Device['classify']>;
  declare readonly run?: NonNullable<Device['run']>;
  declare readonly deploy?: NonNullable<Device['deploy']>;
  declare readonly runDeployed?: NonNullable<Device['runDeployed']>;
  declare readonly rehearse?: NonNullable<Device['rehearse']>;
  declare readonly erase?: NonNullable<Device['erase']>;
  declare readonly reset?: NonNullable<Device['reset']>;
  readonly #hub: AgentHub;
  readonly #agentId: string;
  readonly #device: string;
  readonly #closing = new AbortController();
  #calibration: Calibration | null = null;

  constructor(hub: AgentHub, agentId: string, id: string, { target, abilities }: OpenedDevice) {
    this.#hub = hub;
    this.#agentId = agentId;
    this.#device = id;
    this.target = target;
    for (const ability of abilities) Object.assign(this, { [ability]: this.#able[ability] });
  }

  async measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement> {
    const { ramBytes = null } = options;
    const work = { kind: 'measure', protocol, calibration: this.#calibration, ramBytes } as const;
    const askedUs = this.#hub.peers.nowUs();
    const { value, heldMs } = await this.#perform(work, { ...options, network: sentNetwork(network) });
    const told = asMeasurement(checked(measurementSchema, value));
    // Done before it was asked for: how long it took then is the agent's word.
    const earlierMs = heldMs === 0 ? 0 : heldMs + mostHeldMs;
    const measurement = this.#hub.peers.placed(this.#agentId, told, askedUs - 1000 * earlierMs);
    if (targetKey(measurement.target) !== targetKey(this.target))
      throw new HildaError('MESSAGE_INVALID', `the agent ${this.#agentId} answered for another target`);
    if (measurement.structureHash !== structureHash(network))
      throw new HildaError('MESSAGE_INVALID', `the agent ${this.#agentId} answered for another network`);
    const manifest = { ...measurement.manifest, agent: this.#agentId, ...(heldMs > 0 && { heldMs }) };
    return { ...measurement, manifest };
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** Every optional member; a device shows those that it has. */
  readonly #able: Required<Pick<Device, Abilities[number]>> = {
    calibrate: async ({ known, ...options }) => {
      const work = { kind: 'calibrate', known: known ?? this.#calibration } as const;
      const taken = async (): Promise<Calibration> => {
        const told = checked(calibrationSchema, (await this.#perform(work, options)).value);
        return this.#hub.peers.placedCalibration(this.#agentId, told);
      };
      this.#calibration = known ?? (await taken());
      return this.#calibration;
    },
    profile: async (network, options) => {
      const asked = { ...options, network: sentNetwork(network) };
      return checked(operatorCostsSchema, (await this.#perform({ kind: 'profile' }, asked)).value);
    },
    classify: async (network, examples, options) => {
      const work = { kind: 'classify', batch: examples.calibration.batch } as const;
      const asked = { ...options, network: sentNetwork(network), inputs: packExamples(examples) };
      return classesOf(this.#outputs(await this.#perform(work, asked)), examples.count);
    },
    run: async (network, inputs, options) => {
      const asked = { ...options, network: sentNetwork(network), inputs: packTensors([inputs]) };
      return this.#outputs(await this.#perform({ kind: 'run' }, asked));
    },
    deploy: async (network, { calibration = [], ranges = null, ...options }) => {
      const inputs = packTensors('feeds' in calibration ? await gathered(calibration) : calibration);
      const asked = { ...options, network: sentNetwork(network), inputs };
      return checked(deploymentSchema, (await this.#perform({ kind: 'deploy', ranges }, asked)).value);
    },
    runDeployed: async (deployment, inputs, options) => {
      const work = { kind: 'runDeployed', deployment: checked(deploymentSchema, deployment) } as const;
      return this.#outputs(await this.#perform(work, { ...options, inputs: packTensors([inputs]) }));
    },
    rehearse: async (network, { calibration = [], ranges = null, tests, ...options }) => {
      const inputs = packTensors('feeds' in calibration ? await gathered(calibration) : calibration);
      const asked = { ...options, network: sentNetwork(network), inputs };
      const work = { kind: 'rehearse', ranges, tests } as const;
      return checked(rehearsalSchema, (await this.#perform(work, asked)).value);
    },
    erase: async (options) => void (await this.#perform({ kind: 'erase' }, options)),
    reset: async (options) => void (await this.#perform({ kind: 'reset' }, options)),
  };

  #outputs({ bytes }: Answer): Tensors {
    const [outputs] = bytes ? unpackTensors(bytes) : [];
    if (!outputs) throw new HildaError('MESSAGE_INVALID', `the agent ${this.#agentId} sent no outputs`);
    return outputs;
  }

  async #perform(
    work: Parameters<AgentHub['perform']>[2],
    options: Parameters<AgentHub['perform']>[3],
  ): Promise<Answer> {
    if (this.#closing.signal.aborted) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    try {
      return await this.#hub.perform(this.#agentId, this.#device, work, { ...options, signal });
    } catch (thrown) {
      throw asHildaError(thrown);
    }
  }
}
