import { join } from 'node:path';
import { SeriesWatcher, type SeriesWatcherOptions } from '../benchmarks/alerts/series-watcher.js';
import { SuiteAlerts } from '../benchmarks/alerts/suite-alerts.js';
import { BenchmarkRuns } from '../benchmarks/runs/benchmark-runs.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { SimulatedClock } from '../core/simulated-clock.js';
import { VirtualDriver } from '../devices/virtual/driver.js';
import { DevicePool } from '../fleet/device-pool.js';
import { Campaigns } from '../jobs/campaigns.js';
import { Jobs } from '../jobs/jobs.js';
import { scheduledSuites } from '../process/scheduled-work.js';
import { readHere } from '../reading/read-here.js';
import { Schedules } from '../schedules/schedules.js';
import type { Store } from '../store/contract.js';
import { fileBlobs } from '../store/file-blobs.js';
import { openStore } from '../store/open-store.js';
import { suiteNetworks } from '../study/suite-networks.js';
import type { DrawnUnit } from './draw-units.js';
import { holdingCalls } from './hold-calls.js';
import { KeptModels } from './kept-models.js';

export interface SimulatedPartsOptions {
  /** A folder, or `:memory:`. */
  readonly dataDir: string;
  readonly profilesDir: string;
  readonly clock: SimulatedClock;
  readonly units: readonly DrawnUnit[];
  readonly onError: (error: HildaError, place: string) => void;
}

export interface SimulatedParts {
  readonly store: Store;
  readonly models: KeptModels;
  readonly calendar: Schedules;
  readonly watcher: SeriesWatcher;
  stop(): Promise<void>;
}

/** Devices that one driver looks after: when one of them comes or goes, all of them are looked at. */
const hubSize = 50;
/** Leases end with this process: renewing them more often would only take time. */
const leaseMs = 24 * 3_600_000;
/** The clock is never set: a firing needs no look before it is due. */
const lookMs = 7 * 86_400_000;
/** Of series in memory: some 0.2 MB each. */
const mostNetworks = 4000;

/** Time stands still while it looks at what was measured. */
class HeldWatcher extends SeriesWatcher {
  readonly #clock: SimulatedClock;

  constructor(options: SeriesWatcherOptions, clock: SimulatedClock) {
    super(options);
    this.#clock = clock;
  }

  override catchUp(): ReturnType<SeriesWatcher['catchUp']> {
    return this.#clock.hold(() => super.catchUp());
  }
}

/** The parts of a daemon that run suites at fixed times and watch their results, over virtual devices, all adopted. */
export async function openSimulatedParts(options: SimulatedPartsOptions): Promise<SimulatedParts> {
  const { dataDir, profilesDir, clock, units, onError } = options;
  const store = holdingCalls(await openStore({ dataDir, clock }), clock);
  const models = new KeptModels(dataDir === ':memory:' ? undefined : fileBlobs(join(dataDir, 'blobs')));
  const blobs = holdingCalls(models, clock);
  const drivers = Array.from(
    { length: Math.ceil(units.length / hubSize) },
    (_, hub) => new VirtualDriver({ clock, units: units.slice(hub * hubSize, (hub + 1) * hubSize) }),
  );
  const pool = new DevicePool({
    store,
    drivers,
    clock,
    logger: {
      warn: (details, message) => {
        const { err } = details as { readonly err?: unknown };
        if (err instanceof HildaError) onError(err, message);
      },
    },
  });
  const readNetwork = (bytes: Uint8Array) => clock.hold(() => models.read(bytes));
  const places = { blobs, uploads: blobs, readNetwork, reading: readHere };
  const jobs = new Jobs({
    store,
    pool,
    clock,
    places,
    owner: 'simulation',
    ttlMs: leaseMs,
    gatherMs: 0,
    limit: 1_000_000,
    warn: onError,
  });
  const campaigns = new Campaigns({ store, clock });
  const runs = new BenchmarkRuns({
    store,
    jobs,
    campaigns,
    clock,
    blobs,
    sources: suiteNetworks({ fronts: noStudies, exportTrial: noStudies }, profilesDir),
  });
  const calendar = new Schedules({ store, clock, onError, lookMs });
  calendar.define(
    'suite',
    scheduledSuites(runs, { clock, alerts: new SuiteAlerts({ store, onAlerts: () => {} }) }),
  );
  const watcher = new HeldWatcher({ store, clock, onError, mostNetworks }, clock);
  const life = new AbortController();
  await pool.start(life.signal);
  await pool.discover({ signal: life.signal });
  for (const { id, tags } of units) {
    await store.setDeviceState(id as DeviceId, 'adopted');
    if (tags.length > 0) await store.setDeviceTags(id as DeviceId, tags);
  }
  await jobs.start(life.signal);
  watcher.start();
  const stop = async (): Promise<void> => {
    await calendar.stop();
    await watcher.stop();
    await campaigns.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
  };
  return { store, models, calendar, watcher, stop };
}

const noStudies = async (): Promise<never> => {
  throw new HildaError('STUDY_UNKNOWN', 'a simulated fleet has no studies');
};
