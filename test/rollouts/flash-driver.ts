import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import type {
  CallOptions,
  Deployment,
  Device,
  Drawn,
  Driver,
  Rehearsal,
  Sighting,
  Tensors,
} from '../../daemon/devices/contract.js';
import { FakeDevice } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { answerHash, testInputs } from '../../daemon/devices/random-inputs.js';
import { networkFacts } from '../../daemon/measure/network-facts.js';
import type { Graph } from '../../daemon/network/graph.js';

/**
 * What befalls a device with networks whose weights are not `goodWeights`. `unplugged`: it leaves in the middle of the first
 * flash, and comes back. `deaf`: it never answers a flash. `small`: it has no room. `gone`: it leaves, and stays away.
 */
export type Fault = 'unplugged' | 'wrong' | 'slow' | 'small' | 'deaf' | 'gone';

export interface FlashDriverOptions {
  /** The flash of each device: what a kill of the daemon does not touch. */
  readonly folder: string;
  readonly ids: readonly string[];
  readonly faults: Readonly<Record<string, Fault>>;
  readonly goodWeights: string;
  /** Milliseconds that a flash takes; a kill may fall into them. */
  readonly flashMs?: number;
  /** How long an unplugged device stays away. */
  readonly awayMs?: number;
}

/** What the flash of a device holds. `half`: a program was begun and not finished. */
export interface Flash {
  readonly holds: 'nothing' | 'half' | 'whole';
  readonly crc: number;
  /** Programs that were written from beginning to end. */
  readonly writes: number;
  readonly wasUnplugged: boolean;
}

const empty: Flash = { holds: 'nothing', crc: 0, writes: 0, wasUnplugged: false };

export function flashOf(folder: string, id: string): Flash {
  const path = join(folder, `${id}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Flash) : empty;
}

function write(folder: string, id: string, flash: Flash): void {
  const path = join(folder, `${id}.json`);
  writeFileSync(`${path}.new`, JSON.stringify(flash));
  renameSync(`${path}.new`, path);
}

export const programCrc = (network: Graph): number => {
  const { structureHash, weightsHash } = networkFacts(network);
  return crc32(`${structureHash} ${weightsHash}`);
};

/** Boards on paper with a flash on disk. */
export class FlashDriver implements Driver {
  readonly kind = 'fake';
  readonly options: FlashDriverOptions;
  readonly away = new Set<string>();
  changed: () => void = () => {};
  readonly #fakes: FakeDriver;

  constructor(options: FlashDriverOptions) {
    this.options = options;
    this.#fakes = new FakeDriver({ ids: options.ids });
    mkdirSync(options.folder, { recursive: true });
  }

  async *discover(options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    for await (const sighting of this.#fakes.discover(options))
      if (!this.away.has(sighting.id)) yield sighting;
  }

  async watch({ onChange }: { readonly onChange: () => void }): Promise<void> {
    this.changed = onChange;
  }

  async open({ id, target }: Sighting): Promise<Device> {
    return new FlashDevice(id, target, this);
  }

  unplug(id: string, forGood: boolean): void {
    this.away.add(id);
    this.changed();
    if (forGood) return;
    void systemClock.sleep(this.options.awayMs ?? 50).then(() => {
      this.away.delete(id);
      this.changed();
    });
  }
}

class FlashDevice extends FakeDevice {
  readonly #id: DeviceId;
  readonly #driver: FlashDriver;

  constructor(id: DeviceId, target: Sighting['target'], driver: FlashDriver) {
    super(target);
    this.#id = id;
    this.#driver = driver;
  }

  #fault(weightsHash: string): Fault | undefined {
    const { faults, goodWeights } = this.#driver.options;
    return weightsHash === goodWeights ? undefined : faults[this.#id];
  }

  override measure(...given: Parameters<FakeDevice['measure']>): Promise<Measurement> {
    const isSlow = this.#fault(networkFacts(given[0]).weightsHash) === 'slow';
    // A slow network, not a slow device: the ratio to the reference tells them apart.
    const rates = isSlow ? { macsPerUs: 20, bytesPerUs: 40, operatorUs: 200 } : undefined;
    return new FakeDevice(this.target, rates ? { rates } : {}).measure(...given);
  }

  async rehearse(network: Graph, { tests }: CallOptions & { readonly tests: Drawn }): Promise<Rehearsal> {
    const { weightsHash } = networkFacts(network);
    if (this.#fault(weightsHash) === 'small')
      throw new HildaError(
        'DEVICE_OUT_OF_MEMORY',
        `the program takes 4096 bytes of flash, ${this.#id} has 1024`,
        {
          details: { flashBytes: 4096, limitBytes: 1024 },
        },
      );
    const crc = programCrc(network);
    const answers = testInputs(network, tests).map((inputs) => answerHash(answerOf(crc, inputs)));
    return { programCrc: crc, flashBytes: 1024, arenaBytes: 256, answers };
  }

  async deploy(network: Graph, { signal }: CallOptions): Promise<Deployment> {
    const { folder, flashMs = 0 } = this.#driver.options;
    const facts = networkFacts(network);
    const fault = this.#fault(facts.weightsHash);
    const crc = programCrc(network);
    const before = flashOf(folder, this.#id);
    write(folder, this.#id, { ...before, holds: 'half', crc });
    if (fault === 'deaf')
      await systemClock.sleep(3_600_000, { signal }).catch(() => {
        throw new HildaError('INTERRUPTED', 'the flash was aborted');
      });
    if ((fault === 'unplugged' && !before.wasUnplugged) || fault === 'gone') {
      write(folder, this.#id, { ...before, holds: 'half', crc, wasUnplugged: true });
      this.#driver.unplug(this.#id, fault === 'gone');
      throw new HildaError('DEVICE_GONE', `${this.#id} left in the middle of a flash`);
    }
    // After it was unplugged once, the network is refused for good: the device is bad, however often it is killed.
    if (fault === 'unplugged') throw new HildaError('DEVICE_FAILED', `${this.#id} does not take the program`);
    if (flashMs > 0) await systemClock.sleep(flashMs, { signal });
    write(folder, this.#id, { ...before, holds: 'whole', crc, writes: before.writes + 1 });
    const ports = network.inputs.map(({ name, dims }) => ({
      name,
      dims: dims.map(Number),
      layout: 'row-major' as const,
      quantisation: { scale: 1, zeroPoint: 0 },
    }));
    const [input, ...moreInputs] = ports as [(typeof ports)[number], ...typeof ports];
    return {
      structureHash: facts.structureHash,
      weightsHash: facts.weightsHash,
      programCrc: crc,
      flashBytes: 1024,
      arenaBytes: 256,
      inputOffset: 0,
      inputBytes: 1,
      outputOffset: 0,
      outputBytes: 1,
      input,
      output: input,
      moreInputs,
      moreOutputs: [],
      calibratedOn: 'nothing',
    };
  }

  async runDeployed({ programCrc: crc, weightsHash }: Deployment, inputs: Tensors): Promise<Tensors> {
    const flash = flashOf(this.#driver.options.folder, this.#id);
    if (flash.holds !== 'whole' || flash.crc !== crc)
      throw new HildaError('STATE_CONFLICT', 'the board holds no network, or another one');
    return answerOf(this.#fault(weightsHash) === 'wrong' ? crc + 1 : crc, inputs);
  }

  async erase(): Promise<void> {
    const { folder } = this.#driver.options;
    write(folder, this.#id, { ...flashOf(folder, this.#id), holds: 'nothing', crc: 0 });
  }
}

/** What a program answers: its number and the input decide. */
function answerOf(crc: number, inputs: Tensors): Tensors {
  const sum = Object.values(inputs).reduce((all, { data }) => all + data.reduce((a, b) => a + b, 0), 0);
  return { y: { dims: [2], data: Float32Array.of(crc % 1000, sum) } };
}
