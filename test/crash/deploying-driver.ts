import type { Measurement } from '../../daemon/core/measurement.js';
import type { Target } from '../../daemon/core/target.js';
import type {
  CallOptions,
  Deployment,
  Device,
  Driver,
  Sighting,
  Tensors,
} from '../../daemon/devices/contract.js';
import { FakeDevice, type FakeDeviceOptions } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { networkFacts } from '../../daemon/measure/network-facts.js';
import type { Graph } from '../../daemon/network/graph.js';

/** Two fakes that take a few milliseconds for each network, answer a network always alike, and hold what is deployed to them. */
export class DeployingDriver implements Driver {
  readonly kind = 'fake';
  readonly #options;
  readonly #fakes: FakeDriver;

  constructor(delayMs: number) {
    this.#options = { delayMs };
    this.#fakes = new FakeDriver({ ...this.#options, ids: ['fake-0', 'fake-1'] });
  }

  discover(options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    return this.#fakes.discover(options);
  }

  async open({ target }: Sighting): Promise<Device> {
    return new DeployingFake(target, this.#options);
  }
}

class DeployingFake extends FakeDevice {
  readonly #options: FakeDeviceOptions;

  constructor(target: Target, options: FakeDeviceOptions) {
    super(target, options);
    this.#options = options;
  }

  /** Noise depends on the network alone, and on nothing that was measured before. */
  override measure(...given: Parameters<FakeDevice['measure']>): Promise<Measurement> {
    return new FakeDevice(this.target, this.#options).measure(...given);
  }

  async deploy(network: Graph, _options: CallOptions): Promise<Deployment> {
    const { structureHash, weightsHash } = networkFacts(network);
    const port = {
      name: 'x',
      dims: [1],
      layout: 'row-major',
      quantisation: { scale: 1, zeroPoint: 0 },
    } as const;
    return {
      structureHash,
      weightsHash,
      programCrc: 1,
      flashBytes: 1,
      arenaBytes: 1,
      inputOffset: 0,
      inputBytes: 1,
      outputOffset: 0,
      outputBytes: 1,
      input: port,
      output: port,
      moreInputs: [],
      moreOutputs: [],
      calibratedOn: 'nothing',
    };
  }

  async runDeployed(_deployment: Deployment, inputs: Tensors): Promise<Tensors> {
    return inputs;
  }
}
