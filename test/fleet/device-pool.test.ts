import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { compareDevices, pooledWith } from '../../daemon/fleet/equivalence.js';
import { testEquivalence } from '../../daemon/measure/equivalence.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { codeOf, deviceId, measurement, target } from '../contract/store-contract.js';

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
      owner: 'here',
      ttlMs: 3000,
      retryMs: 5,
    });
    await pool.start(abort.signal);
    t.teardown(async () => {
      await pool.stop();
      await store.close();
    });
    await body(t, { store, driver, pool, signal: abort.signal });
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

withPool('finds, adopts, refuses', async (t, { pool, driver, store, signal }) => {
  t.match(
    await pool.discover(),
    [{ id: deviceId, state: 'sighted', obstacle: null }],
    "a broken driver hides no other's devices",
  );
  t.match(await pool.adopt(deviceId), { state: 'adopted' });
  const none = 'none' as DeviceId;
  t.equal(await codeOf(pool.adopt(none)), 'DEVICE_UNKNOWN');
  t.equal(await codeOf(pool.withDevice(none, { holder: 'a', signal }, async () => 1)), 'DEVICE_UNKNOWN');
  driver.obstacle = 'no permission: join the group dialout';
  await pool.discover();
  t.equal(await codeOf(pool.adopt(deviceId)), 'DEVICE_FAILED');
  t.equal(await codeOf(pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1)), 'DEVICE_FAILED');
  t.same(await store.leases(), [], 'a device that did not open is free again');
  await store.setDeviceState(deviceId, 'quarantined');
  t.equal(await codeOf(pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1)), 'STATE_CONFLICT');
});

withPool('one job at a time, by priority, then by order', async (t, { pool, driver, store, signal }) => {
  await pool.discover();
  const order: string[] = [];
  let running = 0;
  const [hasBegun, begun] = gate();
  const [queued, allQueued] = gate();
  const job = (name: string, priority = 0) =>
    pool.withDevice(deviceId, { holder: name, priority, signal }, async (device, lease) => {
      t.equal(++running, 1);
      order.push(name);
      t.match(await store.leases(), [{ holder: `here/${name}`, token: lease.token }]);
      if (name === 'first') {
        begun();
        await queued;
      }
      running--;
      return device.measure(undefined as never, loadProtocol('quick'), { signal });
    });
  const first = job('first');
  await hasBegun;
  const others = [job('a'), job('b'), job('urgent', 1), job('c')];
  await asked(store);
  allQueued();
  await Promise.all([first, ...others]);
  t.same(order, ['first', 'urgent', 'a', 'b', 'c']);
  t.equal(driver.opened, 1, 'opened once for all');
  t.same(await store.leases(), []);
});

withPool('a failed device is opened afresh, a failed job keeps it', async (t, { pool, driver, signal }) => {
  await pool.discover();
  const run = (code: 'DEVICE_FAILED' | 'NETWORK_REJECTED' | undefined) =>
    codeOf(
      pool.withDevice(deviceId, { holder: 'a', signal }, async () => {
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
  'the lease outlives its term while the job runs; a foreign one is waited for',
  async (t, { pool, store, signal }) => {
    await pool.discover();
    await pool.withDevice(deviceId, { holder: 'long', signal }, async (_, lease) => {
      // Past the term that it was given, by however many renewals.
      await until(() => systemClock.nowMs() > lease.expiresMs + 100);
      t.equal((await store.acquireLease(deviceId, 'thief', 10)) === undefined, true);
      await store.addMeasurement(measurement, { deviceId, lease });
    });
    const foreign = (await store.acquireLease(deviceId, 'elsewhere/x', 10_000))!;
    const waits = pool.withDevice(deviceId, { holder: 'patient', signal }, async () => 'done');
    await pause(15);
    await store.releaseLease(foreign);
    t.equal(await waits, 'done');
    await store.acquireLease(deviceId, 'elsewhere/x', 10_000);
    const abort = new AbortController();
    const gaveUp = codeOf(
      pool.withDevice(deviceId, { holder: 'hasty', signal: abort.signal }, async () => 'never'),
    );
    const alsoWaiting = codeOf(
      pool.withDevice(deviceId, { holder: 'behind', signal: abort.signal }, async () => 'never'),
    );
    await pause(10);
    abort.abort(new HildaError('INTERRUPTED', 'enough'));
    t.same(await Promise.all([gaveUp, alsoWaiting]), ['INTERRUPTED', 'INTERRUPTED']);
  },
);

withPool(
  'stop waits for the job, refuses the rest, closes the device',
  async (t, { pool, store, driver, signal }) => {
    await pool.discover();
    let finished = false;
    const [hasBegun, begun] = gate();
    const [mayEnd, end] = gate();
    const running = pool.withDevice(deviceId, { holder: 'a', signal }, async () => {
      begun();
      await mayEnd;
      finished = true;
    });
    await hasBegun;
    const waiting = codeOf(pool.withDevice(deviceId, { holder: 'b', signal }, async () => {}));
    await asked(store);
    const stopped = Promise.all([pool.stop(), pool.stop()]).then(() => finished);
    t.equal(await waiting, 'INTERRUPTED');
    end();
    t.ok(await stopped, 'it stopped once the job had ended');
    await running;
    t.equal(driver.closed, 1);
    t.equal(await codeOf(pool.withDevice(deviceId, { holder: 'c', signal }, async () => {})), 'INTERRUPTED');

    await store.acquireLease(deviceId, 'here/died', 60_000);
    await store.acquireLease(deviceId, 'here/died', 60_000);
    const successor = new DevicePool({ store, drivers: [driver], clock: systemClock, owner: 'here' });
    await successor.start(signal);
    t.same(await store.leases(), [], 'what the former daemon held is free');
    t.equal(
      await successor.withDevice(deviceId, { holder: 'd', signal }, async () => 4),
      4,
      'looks for the device by itself',
    );
    await successor.stop();
  },
);

withPool(
  'a device that leaves is away, and comes back as itself',
  async (t, { pool, driver, store, signal }) => {
    await pool.discover();
    await pool.adopt(deviceId);
    await pool.tag(deviceId, ['shelf=2', 'blue', 'blue']);
    await pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1);
    t.same(pool.presence(deviceId), { present: true, obstacle: null });
    driver.present = false;
    driver.changed();
    await until(() => driver.closed === 1);
    t.same(pool.presence(deviceId), { present: false, obstacle: null });
    t.equal(driver.closed, 1, 'what was open is closed');
    t.equal(await codeOf(pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1)), 'DEVICE_GONE');
    driver.present = true;
    driver.changed();
    await until(() => pool.presence(deviceId).present);
    t.match(await store.device(deviceId), { state: 'adopted', tags: ['blue', 'shelf=2'] });
    t.equal(await pool.withDevice(deviceId, { holder: 'a', signal }, async () => 2), 2);
    const heard = (await store.events(0, { topics: ['devices'] })).map(({ data }) => data);
    t.match(
      heard
        .filter((data) => (data as { type: string }).type === 'presence')
        .map((data) => (data as { present: boolean }).present),
      [true, false, true],
    );
  },
);

withPool('ignored and quarantined devices rest until they are adopted again', async (t, { pool, signal }) => {
  await pool.discover();
  for (const state of ['ignored', 'quarantined'] as const) {
    t.match(await pool.setAside(deviceId, state, 'smells'), { state, reason: 'smells' });
    await t.rejects(
      pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1),
      { code: 'STATE_CONFLICT', message: /smells/ },
    );
    t.match(await pool.adopt(deviceId), { state: 'adopted', reason: null });
    t.equal(await pool.withDevice(deviceId, { holder: 'a', signal }, async () => 3), 3);
  }
});

withPool(
  'failures in a row: a sound device is cleared, a broken one quarantined',
  async (t, { pool, driver, store, signal }) => {
    await pool.discover();
    await pool.adopt(deviceId);
    const fail = () =>
      codeOf(
        pool.withDevice(deviceId, { holder: 'a', signal }, async () => {
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
  const { pool, driver, store, signal } = bench;
  await pool.discover();
  await pool.adopt(deviceId);
  const use = () =>
    pool.withDevice(deviceId, { holder: 'a', signal }, async () => 1).catch((error: HildaError) => error);
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
  const pool = new DevicePool({ store, drivers, clock: systemClock, ttlMs: 5000, retryMs: 5 });
  const { signal } = new AbortController();
  await pool.start(signal);
  t.teardown(async () => {
    await pool.stop();
    await store.close();
  });
  const [a, b, c] = ['fake-a', 'fake-b', 'fake-c'] as DeviceId[] as [DeviceId, DeviceId, DeviceId];
  await pool.discover();
  for (const id of [a, b, c]) await pool.adopt(id);
  const parts = { store, pool, clock: systemClock };
  t.same(await pooledWith(a, store), [a], 'nothing is pooled untested');
  const same = await compareDevices(a, b, parts, { signal });
  t.ok(same.equivalent && Math.abs(same.convolution.ratio - 1) < 0.02, JSON.stringify(same));
  const other = await compareDevices(a, c, parts, { signal });
  t.notOk(other.equivalent);
  t.ok(Math.abs(other.transformer.ratio - 1.2) < 0.03);
  t.same(await pooledWith(a, store), [a, b]);
  t.same(await pooledWith(b, store), [b, a]);
  t.equal(await codeOf(compareDevices(a, a, parts, { signal })), 'STATE_CONFLICT');

  // A job for the pair goes to the free one, and survives that one leaving.
  const ran: string[] = [];
  const job = (leave: string | null) =>
    pool.withAny([a, b], { holder: 'pooled', signal }, async (_, { deviceId: id }) => {
      ran.push(id);
      await pause(10);
      if (id === leave) throw new HildaError('DEVICE_GONE', 'unplugged');
      return id;
    });
  t.same((await Promise.all([job(null), job(null)])).sort(), [a, b]);
  t.equal(await job(a), b);
  t.same(ran.slice(2), [a, b]);
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
