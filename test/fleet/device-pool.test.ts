import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { pooledWith } from '../../daemon/fleet/equivalence.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { testEquivalence } from '../../daemon/measure/equivalence.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { codeOf, deviceId, measurement, target } from '../contract/store-contract.js';
import { compareDevices } from '../jobs/compare-devices.js';

/** Counts what the pool does with it; `obstacle` and `present` may be changed between looks. */
class CountingDriver implements Driver {
  readonly kind = 'counting';
  opened = 0;
  closed = 0;
  obstacle: string | null = null;
  present = true;
  refusals = 0;
  /** What measuring does, e.g. fail. */
  measure: Device['measure'] = async () => measurement;
  changed: () => void = () => {};

  async *discover(): AsyncIterable<Sighting> {
    if (this.present)
      yield { id: deviceId, kind: this.kind, label: 'Counting', target, host: null, obstacle: this.obstacle };
  }

  async open(): Promise<Device> {
    if (this.refusals-- > 0) throw new HildaError('DEVICE_FAILED', 'no answer');
    this.opened++;
    return {
      target,
      limits: { memoryBytes: null, weightBytes: null },
      measure: (...args) => this.measure(...args),
      close: async () => void this.closed++,
    };
  }

  async watch({ onChange }: { readonly onChange: () => void }): Promise<void> {
    this.changed = onChange;
  }
}

const brokenDriver: Driver = {
  kind: 'broken',
  // biome-ignore lint/correctness/useYield: it fails before it sees anything
  async *discover() {
    throw new Error('no such native module');
  },
  open: () => Promise.reject(new Error('never seen')),
};

interface Bench {
  readonly store: Store;
  readonly driver: CountingDriver;
  readonly pool: DevicePool;
  readonly signal: AbortSignal;
  /** Uses the one device; jobs hold its lease. */
  use<T>(work: (device: Device) => Promise<T>): Promise<T>;
}

function withPool(name: string, body: (t: Tap, bench: Bench) => Promise<void>): void {
  t.test(name, async (t) => {
    const store = await openStore({ dataDir: ':memory:', clock: systemClock });
    const driver = new CountingDriver();
    const abort = new AbortController();
    const pool = new DevicePool({
      store,
      drivers: [brokenDriver, driver],
      clock: systemClock,
    });
    await pool.start(abort.signal);
    t.teardown(async () => {
      await pool.stop();
      await store.close();
    });
    const { signal } = abort;
    await body(t, { store, driver, pool, signal, use: (work) => pool.use(deviceId, { signal }, work) });
  });
}
type Tap = Test;

const pause = (ms: number) => systemClock.sleep(ms);

/** A promise, and what fulfils it. */
function gate(): readonly [Promise<void>, () => void] {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return [opened, open];
}

/** What was asked of the store before is answered by then, as it takes one question at a time. */
async function asked(store: Store): Promise<void> {
  for (let i = 0; i < 3; i++) await store.device(deviceId);
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await pause(10);
}

withPool('finds, adopts, refuses', async (t, { pool, driver, store, signal, use }) => {
  t.match(
    await pool.discover(),
    [{ id: deviceId, state: 'sighted', obstacle: null }],
    "a broken driver hides no other's devices",
  );
  t.match(await pool.adopt(deviceId), { state: 'adopted' });
  const none = 'none' as DeviceId;
  t.equal(await codeOf(pool.adopt(none)), 'DEVICE_UNKNOWN');
  t.equal(await codeOf(pool.use(none, { signal }, async () => 1)), 'DEVICE_UNKNOWN');
  driver.obstacle = 'no permission: join the group dialout';
  await pool.discover();
  t.equal(await codeOf(pool.adopt(deviceId)), 'DEVICE_FAILED');
  t.equal(await codeOf(use(async () => 1)), 'DEVICE_FAILED');
  t.same(await store.leases(), [], 'a device that did not open is free again');
  await store.setDeviceState(deviceId, 'quarantined');
  t.equal(await codeOf(use(async () => 1)), 'STATE_CONFLICT');
});

withPool('a failed device is opened afresh, a failed job keeps it', async (t, { pool, driver, use }) => {
  await pool.discover();
  const run = (code: 'DEVICE_FAILED' | 'NETWORK_REJECTED' | undefined) =>
    codeOf(
      use(async () => {
        if (code) throw new HildaError(code, 'x');
      }),
    );
  driver.refusals = 1;
  t.equal(await run(undefined), 'DEVICE_FAILED');
  t.equal(await run('NETWORK_REJECTED'), 'NETWORK_REJECTED');
  t.same([driver.opened, driver.closed], [1, 0]);
  t.equal(await run('DEVICE_FAILED'), 'DEVICE_FAILED');
  t.same([driver.opened, driver.closed], [1, 1]);
  t.equal(await run(undefined), undefined);
  t.same([driver.opened, driver.closed], [2, 1]);
});

withPool(
  'stop waits for the job, refuses the rest, closes the device',
  async (t, { pool, store, driver, signal, use }) => {
    await pool.discover();
    let finished = false;
    const [hasBegun, begun] = gate();
    const [mayEnd, end] = gate();
    const running = use(async () => {
      begun();
      await mayEnd;
      finished = true;
    });
    await hasBegun;
    const waiting = codeOf(use(async () => {}));
    await asked(store);
    const stopped = Promise.all([pool.stop(), pool.stop()]).then(() => finished);
    t.equal(await waiting, 'INTERRUPTED');
    end();
    t.ok(await stopped, 'it stopped once the job had ended');
    await running;
    t.equal(driver.closed, 1);
    t.equal(await codeOf(use(async () => {})), 'INTERRUPTED');

    const successor = new DevicePool({ store, drivers: [driver], clock: systemClock });
    await successor.start(signal);
    t.equal(await successor.use(deviceId, { signal }, async () => 4), 4, 'looks for the device by itself');
    await successor.stop();
  },
);

withPool(
  'a device that leaves is away, and comes back as itself',
  async (t, { pool, driver, store, use }) => {
    await pool.discover();
    await pool.adopt(deviceId);
    await pool.tag(deviceId, ['shelf=2', 'blue', 'blue']);
    await use(async () => 1);
    t.same(pool.presence(deviceId), { present: true, obstacle: null });
    driver.present = false;
    driver.changed();
    await until(() => driver.closed === 1);
    t.same(pool.presence(deviceId), { present: false, obstacle: null });
    t.equal(driver.closed, 1, 'what was open is closed');
    t.equal(await codeOf(use(async () => 1)), 'DEVICE_GONE');
    driver.present = true;
    driver.changed();
    await until(() => pool.presence(deviceId).present);
    t.match(await store.device(deviceId), { state: 'adopted', tags: ['blue', 'shelf=2'] });
    t.equal(await use(async () => 2), 2);
    const heard = (await store.events(0, { topics: ['devices'] })).map(({ data }) => data);
    t.match(
      heard
        .filter((data) => (data as { type: string }).type === 'presence')
        .map((data) => (data as { present: boolean }).present),
      [true, false, true],
    );
  },
);

withPool('ignored and quarantined devices rest until they are adopted again', async (t, { pool, use }) => {
  await pool.discover();
  for (const state of ['ignored', 'quarantined'] as const) {
    t.match(await pool.setAside(deviceId, state, 'smells'), { state, reason: 'smells' });
    await t.rejects(
      use(async () => 1),
      { code: 'STATE_CONFLICT', message: /smells/ },
    );
    t.match(await pool.adopt(deviceId), { state: 'adopted', reason: null });
    t.equal(await use(async () => 3), 3);
  }
});

withPool(
  'failures in a row: a sound device is cleared, a broken one quarantined',
  async (t, { pool, driver, store, use }) => {
    await pool.discover();
    await pool.adopt(deviceId);
    const fail = () =>
      codeOf(
        use(async () => {
          throw new HildaError('DEVICE_FAILED', 'x');
        }),
      );
    for (let i = 0; i < 7; i++) t.equal(await fail(), 'DEVICE_FAILED', 'the networks were at fault');
    t.equal((await store.device(deviceId)).state, 'adopted');
    driver.measure = async () => {
      throw new HildaError('DEVICE_FAILED', 'no answer');
    };
    await fail();
    await fail();
    t.equal(await fail(), 'STATE_CONFLICT');
    t.match(await store.device(deviceId), { state: 'quarantined', reason: /reference network: no answer/ });
  },
);

withPool('a device that does not open is quarantined, one with an obstacle is not', async (t, bench) => {
  const { pool, driver, store } = bench;
  await pool.discover();
  await pool.adopt(deviceId);
  const use = () => bench.use(async () => 1).catch((error: HildaError) => error);
  driver.obstacle = 'unlock it';
  await pool.discover();
  for (let i = 0; i < 5; i++)
    t.match(await use(), { code: 'DEVICE_FAILED', hint: 'unlock it', details: { unopened: 'obstacle' } });
  driver.obstacle = null;
  await pool.discover();
  t.equal((await store.device(deviceId)).state, 'adopted');
  const { open } = driver;
  driver.open = async () => {
    throw new HildaError('DEVICE_FAILED', 'no page opens');
  };
  for (let i = 0; i < 3; i++)
    t.match(await use(), { code: 'DEVICE_FAILED', details: { unopened: 'failed' } });
  t.match(await use(), { code: 'STATE_CONFLICT', details: { setAside: 'quarantined' } });
  t.match(await store.device(deviceId), { state: 'quarantined', reason: /no page opens/ });
  driver.open = open;
  await pool.adopt(deviceId);
  t.equal(await use(), 1);
});

t.test('equal boards are pooled after the test alone', async (t) => {
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  const twins = new FakeDriver({ ids: ['fake-a', 'fake-b'] });
  const lame = new FakeDriver({ ids: ['fake-c'], slowdown: 1.2 });
  const drivers = [twins, lame];
  const pool = new DevicePool({ store, drivers, clock: systemClock });
  const jobs = new Jobs({ store, pool, clock: systemClock });
  const { signal } = new AbortController();
  await pool.start(signal);
  await jobs.start(signal);
  t.teardown(async () => {
    await jobs.stop();
    await pool.stop();
    await store.close();
  });
  const [a, b, c] = ['fake-a', 'fake-b', 'fake-c'] as DeviceId[] as [DeviceId, DeviceId, DeviceId];
  await pool.discover();
  for (const id of [a, b, c]) await pool.adopt(id);
  const parts = { store, jobs, clock: systemClock };
  t.same(await pooledWith(a, store), [a], 'nothing is pooled untested');
  const same = await compareDevices(a, b, parts, { signal });
  t.ok(same.equivalent && Math.abs(same.convolution.ratio - 1) < 0.02, JSON.stringify(same));
  const other = await compareDevices(a, c, parts, { signal });
  t.notOk(other.equivalent);
  t.ok(Math.abs(other.transformer.ratio - 1.2) < 0.03);
  t.same(await pooledWith(a, store), [a, b]);
  t.same(await pooledWith(b, store), [b, a]);
  t.equal(await codeOf(compareDevices(a, a, parts, { signal })), 'STATE_CONFLICT');

  await pool.setAside(b, 'quarantined');
  t.same(await pooledWith(a, store), [a]);
});

t.test('the equivalence test asks for evidence of sameness', async (t) => {
  const around = (middle: number, spread: number, n = 6) =>
    Array.from({ length: n }, (_, i) => middle * (1 + spread * (i % 2 === 0 ? 1 : -1)));
  t.ok(testEquivalence(around(100, 0.01), around(101, 0.01), 0.05).equivalent);
  t.notOk(testEquivalence(around(100, 0.01), around(107, 0.01), 0.05).equivalent);
  t.notOk(testEquivalence(around(100, 0.1), around(100, 0.1), 0.05).equivalent, 'noise is no evidence');
  t.ok(testEquivalence([100, 100], [100, 100], 0.01).equivalent, 'boards that repeat exactly');
  t.notOk(testEquivalence([100, 100], [102, 102], 0.01).equivalent);
  const known = { variance: 0.03 ** 2, freedom: 20 };
  t.notOk(testEquivalence([100, 100], [100, 100], 0.02, known).equivalent, 'two visits that agree by chance');
  const [low, high] = testEquivalence([100, 100], [100, 100], 0.02, known).interval.map(Math.log);
  // Welch: 40 degrees of freedom, one-sided 95 % quantile 1.684.
  t.ok(Math.abs(high! - 1.684 * 0.03) < 1e-4 && Math.abs(low! + 1.684 * 0.03) < 1e-4);
  t.ok(
    testEquivalence(Array(40).fill(100), Array(40).fill(100), 0.02, known).equivalent,
    'many visits show it',
  );
  t.same(
    testEquivalence(around(100, 0.1), around(100, 0.1), 0.05, known),
    testEquivalence(around(100, 0.1), around(100, 0.1), 0.05),
    'visits that scatter more count as they are',
  );
  t.throws(() => testEquivalence([100], [100, 100], 0.1), RangeError);
});
