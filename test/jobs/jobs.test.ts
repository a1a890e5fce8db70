import { getEventListeners } from 'node:events';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, JobId } from '../../daemon/core/ids.js';
import { onAbort } from '../../daemon/core/on-abort.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import type { Owner } from '../../daemon/jobs/job.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { PersonalLeases } from '../../daemon/jobs/personal-leases.js';
import type { Selector } from '../../daemon/jobs/selector.js';
import { openStore } from '../../daemon/store/open-store.js';
import { measurement } from '../contract/store-contract.js';
import { asks, codeOf, gate, openStaged, StagedDriver } from './bench.js';
import { compareDevices } from './compare-devices.js';

t.setTimeout(300_000);

const of = (name: string): Owner => ({ kind: 'campaign', name });

/** Resolves once it holds, however slow the machine is. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 20_000; i++) {
    if (await holds()) return;
    await systemClock.sleep(5);
  }
  throw new Error('it never came to hold');
}

/** Holds the first measurement until it is let go; notes the order of all. */
function held(driver: StagedDriver) {
  const [hasBegun, begun] = gate();
  const [mayEnd, end] = gate();
  const order: string[] = [];
  let first = true;
  driver.measure = async (id) => {
    order.push(id);
    if (first) {
      first = false;
      begun();
      await mayEnd;
    }
    return measurement;
  };
  return { hasBegun, end, order };
}

t.test('the highest priority first, then shares in turn, then the oldest', async (t) => {
  const driver = new StagedDriver(['a']);
  const { jobs, store } = await openStaged(t, driver);
  const { hasBegun, end } = held(driver);
  const ended: string[] = [];
  const submit = async (name: string, owner: Owner, priority = 0) => {
    const { done, record } = await jobs.submit(asks('a', { owner, priority }));
    done.then(
      () => ended.push(name),
      () => {},
    );
    return record.id;
  };
  await submit('first', of('s1'));
  await hasBegun;
  t.match(await store.leases(), [{ holder: 'here/campaign:s1', deviceId: 'a' }]);
  const ids: JobId[] = [];
  for (const [name, owner, priority] of [
    ['x1', of('x')],
    ['x2', of('x')],
    ['x3', of('x')],
    ['y1', of('y')],
    ['late', of('y'), -1],
    ['urgent', of('x'), 5],
    ['person', { kind: 'person' }],
  ] as const)
    ids.push(await submit(name, owner as Owner, priority as number | undefined));
  const why = await jobs.whyWaiting(ids);
  t.match(why.get(ids[5] as JobId), /a runs j1 of campaign:s1/);
  t.match(why.get(ids[4] as JobId), /6 jobs go before it/);
  end();
  await until(() => ended.length === 8);
  t.equal(ended[1], 'urgent');
  t.equal(ended[7], 'late');
  const place = (name: string): number => ended.indexOf(name);
  t.ok(place('x1') < place('x2') && place('x2') < place('x3'), ended.join());
  t.ok(
    place('y1') < place('x3') && place('person') < place('x3'),
    `no share waits for all of another: ${ended}`,
  );
  t.same(await store.leases(), []);
  t.equal(await store.jobCount({ states: ['done'] }), 8);
  t.equal((await store.measurements({})).length, 8);
});

t.test('equals, tags and targets: a device that is there and free', async (t) => {
  const driver = new StagedDriver(['a', 'b', 'c']);
  const { jobs, store, pool } = await openStaged(t, driver);
  const { signal } = new AbortController();
  const [a, b, c] = ['a', 'b', 'c'] as DeviceId[] as [DeviceId, DeviceId, DeviceId];
  await compareDevices(a, b, { store, jobs, clock: systemClock }, { signal });
  const ran: string[] = [];
  let leaves: string | null = null;
  driver.measure = async (id) => {
    ran.push(id);
    await systemClock.sleep(5);
    if (id === leaves) throw new HildaError('DEVICE_GONE', 'unplugged');
    return measurement;
  };
  const pooled = asks('a', { devices: { pool: a } });
  await Promise.all([1, 2].map(() => jobs.run(pooled, { signal })));
  t.same(ran.splice(0).sort(), ['a', 'b']);
  leaves = 'a';
  for (let i = 0; i < 3; i++) t.equal((await jobs.run(pooled, { signal })).measurement?.deviceId, b);
  leaves = null;
  driver.present = new Set(['b', 'c']);
  await pool.discover();
  ran.length = 0;
  await Promise.all([1, 2].map(() => jobs.run(pooled, { signal })));
  t.same([...new Set(ran)], ['b'], 'one that is away is not tried while an equal one is there');
  t.equal(await codeOf(jobs.run(asks('a'), { signal })), 'DEVICE_GONE');

  await pool.tag(c, ['shelf=2', 'blue']);
  const tagged = asks('', { devices: { tags: ['blue', 'shelf=2'] } });
  t.equal((await jobs.run(tagged, { signal })).job.deviceId, c);
  t.equal(await codeOf(jobs.submit(asks('', { devices: { tags: ['red'] } }))), 'DEVICE_UNKNOWN');
  t.equal(await codeOf(jobs.submit(asks('nobody'))), 'DEVICE_UNKNOWN');
  driver.present = new Set(['a', 'b']);
  await pool.discover();
  const waiting = await jobs.submit(tagged);
  t.match(
    (await jobs.whyWaiting([waiting.record.id])).get(waiting.record.id),
    /no device of tag=blue,shelf=2 is there: c/,
  );
  driver.present = new Set(['a', 'b', 'c']);
  driver.changed();
  t.equal((await waiting.done).job.deviceId, c, 'it waits for it');
  await pool.setAside(c, 'quarantined', 'smells');
  t.equal(await codeOf(jobs.submit(tagged)), 'DEVICE_UNKNOWN');
  t.match(await codeOf(jobs.run(asks('c'), { signal })), 'STATE_CONFLICT');
  t.equal(
    (await jobs.run(asks('', { devices: { target: 'Fake 1' } }), { signal })).measurement?.verdict,
    'valid',
  );
});

t.test('devices of one host take turns, others run side by side', async (t) => {
  const driver = new StagedDriver(['a', 'b', 'c', 'd'], { a: 'local', b: 'local' });
  const { jobs } = await openStaged(t, driver);
  const { signal } = new AbortController();
  const running = new Set<string>();
  const beside = new Set<string>();
  driver.measure = async (id) => {
    running.add(id);
    for (const other of running) if (other !== id) beside.add([id, other].sort().join(''));
    await systemClock.sleep(10);
    running.delete(id);
    return measurement;
  };
  const all = ['a', 'b', 'a', 'b', 'c', 'd', 'c', 'd'].map((id) => jobs.run(asks(id), { signal }));
  await Promise.all(all);
  t.notOk(beside.has('ab'));
  t.ok(beside.has('cd'));
});

t.test('one rule of what follows a failure', async (t) => {
  const driver = new StagedDriver(['a']);
  const { jobs, store } = await openStaged(t, driver);
  const { signal } = new AbortController();
  const noisy = { ...measurement, verdict: 'noisy' } as const;
  let answers: (typeof measurement | HildaError)[] = [];
  driver.measure = async () => {
    const next = answers.shift() ?? measurement;
    if (next instanceof HildaError) throw next;
    return next;
  };
  const run = (given: typeof answers, maxAttempts = 2) => {
    answers = given;
    return jobs.run(asks('a', { maxAttempts }), { signal });
  };
  t.match(await run([noisy]), { measurement: { verdict: 'valid' }, job: { attempt: 2, state: 'done' } });
  t.match(await run([noisy, noisy, measurement]), { measurement: { verdict: 'noisy' }, job: { attempt: 2 } });
  t.equal((await store.measurements({ verdict: 'noisy' as never })).length, 3, 'what is not valid is kept');
  const refused = new HildaError('OPERATOR_UNSUPPORTED', 'no such operator');
  t.equal(await codeOf(run([refused, measurement])), 'OPERATOR_UNSUPPORTED');
  t.equal(answers.length, 1, 'what is proven is not tried again');
  const passing = new HildaError('MEASUREMENT_INVALID', 'a glitch');
  t.match(await run([passing, measurement]), { job: { attempt: 2 }, measurement: { verdict: 'valid' } });
  t.match(await run([noisy, passing, measurement]), {
    measurement: { verdict: 'noisy' },
    job: { state: 'done' },
  });
  t.equal(await codeOf(run([passing], 1)), 'MEASUREMENT_INVALID');
  const [last] = await store.jobs({ limit: 1 });
  t.match(last, { state: 'failed', error: { code: 'MEASUREMENT_INVALID' } });
});

t.test('cancelled while it waits, and while it runs; retried', async (t) => {
  const driver = new StagedDriver(['a']);
  const { jobs, store } = await openStaged(t, driver);
  driver.measure = async (_, signal) => {
    await systemClock.sleep(600_000, { signal });
    return measurement;
  };
  const running = await jobs.submit(asks('a'));
  await until(async () => (await store.job(running.record.id)).state === 'running');
  const client = new AbortController();
  const warnings: string[] = [];
  const hear = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', hear);
  t.teardown(() => process.off('warning', hear));
  const leaving = await Promise.all(
    Array.from({ length: 400 }, () => jobs.submit(asks('a', { attached: true }), { signal: client.signal })),
  );
  const staying = await jobs.submit(asks('a', { network: { model: 'a'.repeat(64) }, given: {} }));
  t.equal(await store.jobCount({ states: ['queued'] }), 401);
  client.abort(new HildaError('INTERRUPTED', 'the client went away'));
  t.same([...new Set(await Promise.all(leaving.map(({ done }) => codeOf(done))))], ['INTERRUPTED']);
  await until(async () => (await store.jobCount({ states: ['queued'] })) === 1);
  t.match(await jobs.cancel(running.record.id), { state: 'cancelled', error: { code: 'INTERRUPTED' } });
  t.equal(await codeOf(running.done), 'INTERRUPTED');
  t.equal(await codeOf(jobs.cancel(running.record.id)), 'STATE_CONFLICT');
  t.equal(await codeOf(jobs.cancel('j999' as JobId)), 'NOT_FOUND');
  t.equal(await codeOf(jobs.retry(running.record.id)), 'STATE_CONFLICT', 'its network was in memory');
  t.equal(await codeOf(staying.done), 'NOT_FOUND', 'its model is gone');
  t.match(await store.job(staying.record.id), { state: 'failed' });
  t.match(await jobs.retry(staying.record.id), { state: 'queued', attempt: 0 });
  await until(async () => (await store.job(staying.record.id)).state === 'failed');
  t.same(await store.leases(), []);
  t.same(warnings, [], 'one client of many jobs is no leak');
});

t.test('deadlines, times to begin, keys, and a queue that is full', async (t) => {
  const driver = new StagedDriver(['a', 'b']);
  const { jobs, store } = await openStaged(t, driver, { limit: 3 });
  const { hasBegun, end } = held(driver);
  const first = await jobs.submit(asks('a', { idempotencyKey: 'k' }));
  await hasBegun;
  const again = await jobs.submit(asks('a', { idempotencyKey: 'k' }));
  t.equal(again.record.id, first.record.id);
  for (const other of [asks('b'), asks('a', { priority: 1 }), asks('a', { deadlineMs: 2 ** 42 })])
    t.equal(await codeOf(jobs.submit({ ...other, idempotencyKey: 'k' })), 'IDEMPOTENCY_CONFLICT');
  const missed = await jobs.submit(asks('a', { deadlineMs: systemClock.nowMs() + 30 }));
  t.equal(await codeOf(missed.done), 'DEADLINE_MISSED');
  t.match(await store.job(missed.record.id), { state: 'failed', error: { code: 'DEADLINE_MISSED' } });
  const waiting = [await jobs.submit(asks('a')), await jobs.submit(asks('a')), await jobs.submit(asks('a'))];
  t.equal(await codeOf(jobs.submit(asks('a'))), 'QUEUE_FULL');
  end();
  await Promise.all([first.done, again.done, ...waiting.map(({ done }) => done)]);
  t.match(await (await jobs.submit(asks('a', { idempotencyKey: 'k' }))).done, {
    measurement: { deviceId: 'a' },
    job: { id: first.record.id, state: 'done' },
  });
  const never = await jobs.submit(asks('b', { runAtMs: 2 ** 42 }));
  t.match((await jobs.whyWaiting([never.record.id])).get(never.record.id), /not to begin before 2109-/);
  t.match(await jobs.cancel(never.record.id), { state: 'cancelled' });
  const runAtMs = systemClock.nowMs() + 40;
  const { job } = await (await jobs.submit(asks('b', { runAtMs }))).done;
  t.ok((job.startedMs as number) >= runAtMs);
});

t.test('a lease of somebody else is waited for; a long job keeps its own', async (t) => {
  const driver = new StagedDriver(['a']);
  const { jobs, store } = await openStaged(t, driver, { ttlMs: 1500 });
  const { signal } = new AbortController();
  const a = 'a' as DeviceId;
  const foreign = await store.acquireLease(a, 'elsewhere/x', 600_000);
  const { record, done } = await jobs.submit(asks('a'));
  await until(async () =>
    /held by elsewhere/.test((await jobs.whyWaiting([record.id])).get(record.id) ?? ''),
  );
  if (foreign) await store.releaseLease(foreign);
  await done;
  driver.measure = async () => {
    const [lease] = await store.leases();
    await until(() => systemClock.nowMs() > (lease?.expiresMs ?? 0) + 200);
    t.equal(await store.acquireLease(a, 'thief', 10), undefined);
    return measurement;
  };
  t.equal((await jobs.run(asks('a'), { signal })).measurement?.verdict, 'valid');
});

t.test(
  'people hold devices: in line with the jobs, until they release them or their time is up',
  async (t) => {
    const driver = new StagedDriver(['a', 'b']);
    const { jobs, store, pool } = await openStaged(t, driver);
    const { signal } = new AbortController();
    const leases = new PersonalLeases({ store, jobs, clock: systemClock });
    leases.start();
    t.teardown(() => leases.stop());
    const [a, b] = ['a', 'b'] as DeviceId[] as [DeviceId, DeviceId];
    await pool.tag(a, ['shelf=2']);
    const ask = (devices: Selector, wait = false, ttlMs = 600_000) =>
      leases.acquire({ devices, name: 'anna', ttlMs, wait }, { signal });
    const first = await ask({ tags: ['shelf=2'] });
    t.match(first, { deviceId: a, holder: 'lease:anna' });
    t.equal(await codeOf(ask({ device: a })), 'LEASE_DENIED', 'also to the same person');
    t.equal(await codeOf(ask({ device: 'none' as DeviceId })), 'DEVICE_UNKNOWN');
    t.equal((await ask({ target: 'Fake 1' })).deviceId, b, 'another one of the target is free');
    t.equal((await leases.list()).length, 2);
    const waiting = await jobs.submit(asks('a'));
    const why = async () => (await jobs.whyWaiting([waiting.record.id])).get(waiting.record.id) ?? '';
    await until(async () => /a is held by lease:anna/.test(await why()));
    const longer = await leases.renew(a, { token: first.token, ttlMs: 700_000 });
    t.ok(longer.expiresMs > first.expiresMs);
    await leases.release(a, first);
    t.equal(await codeOf(leases.release(a, first)), 'LEASE_STALE');
    t.equal(await codeOf(leases.renew(a, { token: first.token, ttlMs: 1000 })), 'LEASE_STALE');
    await waiting.done;

    const { hasBegun, end } = held(driver);
    const running = await jobs.submit(asks('a'));
    await hasBegun;
    const granted = ask({ device: a }, true, 300);
    await until(async () => (await store.jobCount({ states: ['queued'] })) === 1);
    const after = await jobs.submit(asks('a'));
    end();
    await running.done;
    const mine = await granted;
    t.match(mine, { deviceId: a, holder: 'lease:anna' });
    const { job } = await after.done;
    t.ok((job.startedMs as number) >= mine.expiresMs, 'a holder that died holds nothing, but for its time');
    const own = (await leases.list()).find((one) => one.deviceId === b);
    await leases.renew(b, { token: own?.token ?? 0, ttlMs: 100 });
    const isFreed = async (): Promise<boolean> =>
      (await store.events(0, { topics: ['devices'], limit: 10_000 })).some(({ data }) => {
        const { type, deviceId } = data as { readonly type: string; readonly deviceId: string };
        return type === 'freed' && deviceId === b;
      });
    await until(isFreed);
    t.same(await leases.list(), [], 'readers hear of it although nobody asks for the device');
  },
);

t.test('a daemon that stops leaves its jobs to the next one', async (t) => {
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  t.teardown(() => store.close());
  const driver = new StagedDriver(['a']);
  const { signal } = new AbortController();
  const open = async () => {
    const pool = new DevicePool({ store, drivers: [driver], clock: systemClock });
    const jobs = new Jobs({ store, pool, clock: systemClock, owner: 'here', retryMs: 5 });
    await pool.start(signal);
    await pool.discover({ signal });
    await jobs.start(signal);
    return {
      jobs,
      stop: async () => {
        await jobs.stop();
        await pool.stop();
      },
    };
  };
  const first = await open();
  const [hasBegun, begun] = gate();
  driver.measure = async (_, one) => {
    begun();
    await systemClock.sleep(600_000, { signal: one });
    return measurement;
  };
  const reset = asks('a', { work: { kind: 'reset' }, network: null, given: {} });
  const built = await first.jobs.submit(asks('a', { attached: true }));
  await hasBegun;
  const queued = await first.jobs.submit(reset);
  const attached = await first.jobs.submit({ ...reset, attached: true });
  const codes = [built, queued, attached].map(({ done }) => codeOf(done));
  await first.stop();
  t.same(await Promise.all(codes), ['INTERRUPTED', 'INTERRUPTED', 'INTERRUPTED']);
  t.equal(await codeOf(first.jobs.submit(reset)), 'INTERRUPTED');
  const state = async ({ record }: typeof built) => (await store.job(record.id)).state;
  t.same(await Promise.all([built, queued, attached].map(state)), ['cancelled', 'queued', 'cancelled']);
  t.same(await store.leases(), []);
  const second = await open();
  await until(async () => (await state(queued)) === 'failed');
  t.match(
    (await store.job(queued.record.id)).error,
    { code: 'STATE_CONFLICT' },
    'it ran: the device cannot be reset',
  );
  await second.stop();
});

t.test('a full disk delays results and claims, and loses nothing', async (t) => {
  const driver = new StagedDriver(['a']);
  let isFull = false;
  const refuse = (): void => {
    if (isFull) throw new HildaError('DISK_FULL', 'no room');
  };
  const { jobs, store } = await openStaged(t, driver, {
    storeAgainMs: 20,
    wrap: (inner) => ({
      ...inner,
      turnJobs: async (...given) => {
        refuse();
        return inner.turnJobs(...given);
      },
      closeJobs: async (...given) => {
        refuse();
        return inner.closeJobs(...given);
      },
    }),
  });
  const { hasBegun, end } = held(driver);
  const first = await jobs.submit(asks('a'));
  await hasBegun;
  const second = await jobs.submit(asks('a'));
  const third = await jobs.submit(asks('a'));
  isFull = true;
  t.equal(await codeOf(jobs.cancel(third.record.id)), 'DISK_FULL');
  end();
  t.equal(await codeOf(first.done), 'DISK_FULL', 'its owner hears of it at once');
  t.match(await store.job(first.record.id), { state: 'running' });
  t.match(await store.job(third.record.id), { state: 'queued' });
  isFull = false;
  t.match(await second.done, { measurement: { verdict: 'valid' } }, 'it waited');
  await until(async () => (await store.job(third.record.id)).state === 'cancelled');
  t.match(await store.job(first.record.id), { state: 'done', result: { measurementId: /^m/ } });
  t.equal((await store.measurements({})).length, 2);
  const attempts = [first, second].map(async ({ record: { id } }) => (await store.job(id)).attempt);
  t.same(await Promise.all(attempts), [1, 1], 'nothing ran twice');
  t.same(await store.leases(), []);
});

t.test('one result that cannot be stored takes no other along', async (t) => {
  const driver = new StagedDriver(['a', 'b', 'c']);
  const { jobs, store } = await openStaged(t, driver);
  const { signal } = new AbortController();
  driver.measure = async (id) => (id === 'b' ? { ...measurement, durationMs: Number.NaN } : measurement);
  const codes = await Promise.all(['a', 'b', 'c'].map((id) => codeOf(jobs.run(asks(id), { signal }))));
  t.same([codes[0], codes[2]], [undefined, undefined]);
  t.ok(codes[1], `${codes[1]}`);
  await until(async () => (await store.jobCount({ states: ['failed'] })) === 1);
  t.same(await store.leases(), []);
});

t.test('jobs taken up: of tags that nobody has, and one that began before its deadline', async (t) => {
  const driver = new StagedDriver(['a']);
  const { jobs, store, pool } = await openStaged(t, driver);
  const a = 'a' as DeviceId;
  await pool.tag(a, ['blue']);
  const reset = asks('a', { work: { kind: 'reset' }, network: null, given: {} });
  const runAtMs = systemClock.nowMs() + 3_600_000;
  const { record } = await jobs.submit({ ...reset, devices: { tags: ['blue'] }, runAtMs });
  await jobs.stop();
  await pool.tag(a, []);
  const next = new Jobs({ store, pool, clock: systemClock, owner: 'here' });
  await next.start(new AbortController().signal);
  t.equal((await store.job(record.id)).state, 'queued');
  let attempts = 0;
  const deadlineMs = systemClock.nowMs() + 200;
  driver.measure = async () => {
    await until(() => systemClock.nowMs() > deadlineMs + 20);
    return ++attempts === 1 ? { ...measurement, verdict: 'noisy' as const } : measurement;
  };
  const { done } = await next.submit(asks('a', { deadlineMs, maxAttempts: 2 }));
  t.match((await done).measurement, { verdict: 'valid' });
  await next.stop();
});

t.test('callers that wait on one signal share a listener, which goes with the last of them', async (t) => {
  const { signal, abort } = ((controller) => ({
    signal: controller.signal,
    abort: () => controller.abort(),
  }))(new AbortController());
  const called: number[] = [];
  const stops = [0, 1, 2].map((n) => onAbort(signal, () => called.push(n)));
  t.equal(getEventListeners(signal, 'abort').length, 1);
  for (const stop of stops) stop();
  t.same(getEventListeners(signal, 'abort'), []);
  const [first] = [3, 4].map((n) => onAbort(signal, () => called.push(n)));
  first?.();
  abort();
  t.same(called, [4]);
});
