import { ApiServer } from '../../../daemon/api/api-server.js';
import type { DaemonServices } from '../../../daemon/api/services.js';
import { SeriesWatcher } from '../../../daemon/benchmarks/alerts/series-watcher.js';
import { systemClock } from '../../../daemon/core/clock.js';
import type { DeviceId } from '../../../daemon/core/ids.js';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import type { Driver } from '../../../daemon/devices/contract.js';
import { VirtualDriver } from '../../../daemon/devices/virtual/driver.js';
import { DevicePool } from '../../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../../daemon/jobs/campaigns.js';
import { Jobs } from '../../../daemon/jobs/jobs.js';
import { openStore } from '../../../daemon/store/open-store.js';
import { fleetNetworks, fleetProtocol, unitsOf } from './fleet-rows.js';

/**
 * The daemon of `bench fleet`, in a process of its own: store, devices, queue, watch on series and API over virtual devices.
 * Answers each message of its parent with one.
 */
export type FleetOrder =
  | { readonly op: 'saturate'; readonly each: number }
  | { readonly op: 'pace'; readonly workMs: number; readonly seconds: number }
  | { readonly op: 'usage' }
  | { readonly op: 'stop' };

const [dataDir = '', devices = '0'] = process.argv.slice(2);
const count = Number(devices);
const clock = systemClock;
const rng = Xoshiro128.fromSeed(1);
const { signal } = new AbortController();
const network = fleetNetworks()[0];
let statements = 0;
let workMs = 0;
const claims = { freeUs: new Map<string, number>(), tookMs: [] as number[] };

/** Virtual devices at once, which then work for half to one and a half of the time asked for. */
class PacedDriver extends VirtualDriver {
  override async open(...given: Parameters<Driver['open']>): ReturnType<Driver['open']> {
    const device = await super.open(...given);
    const { id } = given[0];
    const { target, limits } = device;
    return {
      target,
      limits,
      calibrate: (options) => (device.calibrate as NonNullable<typeof device.calibrate>)(options),
      close: () => device.close(),
      measure: async (given, protocol, options) => {
        const freeUs = claims.freeUs.get(id);
        if (freeUs !== undefined) claims.tookMs.push((clock.monotonicUs() - freeUs) / 1000);
        const taken = await device.measure(given, protocol, options);
        if (workMs > 0) await clock.sleep(workMs * (0.5 + rng.next()), options);
        claims.freeUs.set(id, clock.monotonicUs());
        return taken;
      },
    };
  }
}

const openedUs = clock.monotonicUs();
const store = await openStore({ dataDir, clock, onStatement: () => statements++ });
const pool = new DevicePool({
  store,
  drivers: [new PacedDriver({ clock, pace: 0, units: unitsOf(count) })],
  clock,
});
const jobs = new Jobs({ store, pool, clock, limit: 1_000_000 });
await pool.start(signal);
const discoveredUs = clock.monotonicUs();
await pool.discover({ signal });
const discoverS = (clock.monotonicUs() - discoveredUs) / 1e6;
await jobs.start(signal);
const campaigns = new Campaigns({ store, clock });
const watcher = new SeriesWatcher({ store, clock });
watcher.start();
const services: Partial<DaemonServices> = {
  version: 'bench',
  clock,
  store,
  pool: pool as DaemonServices['pool'],
  jobs,
  campaigns,
  joining: { lineTo: () => undefined } as unknown as DaemonServices['joining'],
};
const server = new ApiServer(services as DaemonServices, { port: 0 });
const url = await server.start(signal);

process.on('message', (order: FleetOrder) => {
  void answer(order).then((said) => process.send?.(said));
});
process.send?.({ url, discoverS, startS: (clock.monotonicUs() - openedUs) / 1e6 });

const submit = (n: number) =>
  jobs.run(
    {
      work: { kind: 'measure', protocol: fleetProtocol, calibration: null, ramBytes: null },
      network: { structure: network.hash },
      devices: { device: unitsOf(count)[n % count]?.id as DeviceId },
      owner: { kind: 'benchmark', name: 'fleet' },
      given: { network: network.graph },
    },
    { signal },
  );

async function answer(order: FleetOrder): Promise<object> {
  switch (order.op) {
    case 'saturate':
      return saturate(order.each);
    case 'pace':
      return pace(order.workMs, order.seconds);
    case 'usage': {
      const { user, system } = process.cpuUsage();
      return { cpuMs: (user + system) / 1000, rssMb: process.resourceUsage().maxRSS / 1024 };
    }
    case 'stop':
      await server.stop();
      await watcher.stop();
      await jobs.stop();
      await pool.stop();
      await store.close();
      setImmediate(() => process.disconnect());
      return {};
  }
}

/** All devices ask at once, and answer at once. The first job of each opens it, which is no part of the rate. */
async function saturate(each: number): Promise<object> {
  workMs = 0;
  await Promise.all(Array.from({ length: count }, (_, n) => submit(n)));
  const [before, beganUs] = [statements, clock.monotonicUs()];
  const { user, system } = process.cpuUsage();
  await Promise.all(Array.from({ length: count * each }, (_, n) => submit(n)));
  const seconds = (clock.monotonicUs() - beganUs) / 1e6;
  const cpu = process.cpuUsage({ user, system });
  return {
    jobsPerS: (count * each) / seconds,
    statementsPerJob: (statements - before) / (count * each),
    cpuMsPerJob: (cpu.user + cpu.system) / 1000 / (count * each),
  };
}

/** Each device works, and a job waits for it; owners submit the next one when one ends. */
async function pace(ms: number, seconds: number): Promise<object> {
  workMs = ms;
  let ended = 0;
  let isOver = false;
  const owner = async (n: number): Promise<void> => {
    while (!isOver) {
      await submit(n);
      ended++;
    }
  };
  const owners = Array.from({ length: 2 * count }, (_, n) => owner(n));
  // Devices spread out during the first round, in which all jobs come in at once.
  while (ended < count) await clock.sleep(100);
  claims.tookMs.length = 0;
  const [endedBefore, statementsBefore] = [ended, statements];
  process.send?.({ paced: true });
  await clock.sleep(seconds * 1000);
  isOver = true;
  const sorted = [...claims.tookMs].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  const done = ended - endedBefore;
  const figures = {
    pacedJobsPerS: done / seconds,
    pacedStatementsPerJob: (statements - statementsBefore) / done,
    claimP50Ms: at(0.5),
    claimP99Ms: at(0.99),
  };
  workMs = 0;
  await Promise.all(owners);
  return figures;
}
