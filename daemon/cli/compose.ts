import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ApiServer } from '../api/api-server.js';
import type { DaemonServices } from '../api/services.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Driver } from '../devices/contract.js';
import { createDrivers } from '../devices/registry.js';
import { DevicePool } from '../fleet/device-pool.js';
import { loadProtocol } from '../measure/protocols.js';
import { checkNetworkLimits } from '../network/limits.js';
import { readOnnx } from '../network/read-onnx.js';
import type { Store } from '../store/contract.js';
import { fileBlobs } from '../store/file-blobs.js';
import { openStore } from '../store/open-store.js';
import { StudyService } from '../study/service.js';
import { deploying } from './deploying.js';
import { dashboardDir, hildaVersion, profilesDir } from './installation.js';

export interface DaemonOptions {
  /** Database, blobs, journal. Made when missing. */
  readonly dataDir: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly clock: Clock;
  readonly profilesDir?: string;
  /** Drivers beside the shipped ones, e.g. a fake. */
  readonly drivers?: readonly Driver[];
  readonly onError?: (error: HildaError, place: string) => void;
}

/** The composition root: the one place that knows which parts a daemon is made of. */
export class Daemon {
  readonly #options: DaemonOptions;
  /** Ends after the parts have stopped: an abort before would fail the studies that stopping pauses. */
  readonly #life = new AbortController();
  /** What was started, in order; stopped in reverse. */
  readonly #started: (() => Promise<void>)[] = [];

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** Answers with the address of the page and the API. What had started is stopped again when a later part fails. */
  async start(signal: AbortSignal): Promise<string> {
    try {
      return await this.#start(signal);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Idempotent: requests end, then studies, then devices, then the store. */
  async stop(): Promise<void> {
    const failures: unknown[] = [];
    for (let stop = this.#started.pop(); stop; stop = this.#started.pop()) {
      // One part's failure must not keep the others, the store above all, from closing.
      await stop().catch((error: unknown) => failures.push(error));
    }
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon has stopped'));
    if (failures.length > 0) throw failures[0];
  }

  async #start(signal: AbortSignal): Promise<string> {
    const {
      dataDir,
      port,
      clock,
      drivers = [],
      profilesDir: profiles = profilesDir,
      onError,
    } = this.#options;
    const store = await openStore({ dataDir, clock });
    this.#started.push(() => store.close());
    const blobs = fileBlobs(join(dataDir, 'blobs'));

    const pool = new DevicePool({ store, drivers: [...createDrivers(), ...drivers], clock });
    signal.throwIfAborted();
    await pool.start(this.#life.signal);
    this.#started.push(() => pool.stop());

    const studies = new StudyService({
      store,
      pool,
      clock,
      profilesDir: profiles,
      ...(onError && { onError: (error: HildaError, id: string) => onError(error, `study ${id}`) }),
    });
    await studies.start();
    this.#started.push(() => studies.stop());

    const services: DaemonServices = {
      version: hildaVersion(),
      clock,
      store,
      blobs,
      pool,
      studies,
      ...measuring(store, pool),
      ...deploying(store, pool),
    };
    const server = new ApiServer(services, {
      port,
      ...(existsSync(dashboardDir) && { dashboardDir }),
      ...(onError && { onError }),
    });
    this.#started.push(() => server.stop());
    const url = await server.start(this.#life.signal);
    await pool.discover({ signal });
    return url;
  }
}

/** Measurements and profiles that a user asks for by hand, under the same leases as the studies'. */
export function measuring(
  store: Store,
  pool: Pick<DevicePool, 'withDevice'>,
): Pick<DaemonServices, 'readNetwork' | 'measure' | 'profile'> {
  return {
    readNetwork: (bytes) => {
      const network = readOnnx(bytes);
      checkNetworkLimits(network);
      return network;
    },
    measure: async ({ network, deviceId, protocol: name }, { signal }) => {
      const protocol = loadProtocol(name);
      return pool.withDevice(deviceId, { holder: 'measure', signal }, async (device, lease) =>
        store.addMeasurement(await device.measure(network, protocol, { signal }), { deviceId, lease }),
      );
    },
    profile: ({ network, deviceId }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'profile', signal }, async (device) => {
        if (!device.profile)
          throw new HildaError('STATE_CONFLICT', `the device ${deviceId} cannot profile`, {
            hint: 'Choose another device.',
          });
        return device.profile(network, { signal });
      }),
  };
}
