import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SuiteAlerts } from '../../daemon/benchmarks/alerts/suite-alerts.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { Json } from '../../daemon/core/json.js';
import { cronTimes } from '../../daemon/fleet/cron-times.js';
import { scheduledBackups, scheduledSuites } from '../../daemon/process/scheduled-work.js';
import { windowAt } from '../../daemon/schedules/schedule.js';
import { Schedules } from '../../daemon/schedules/schedules.js';
import { openStore } from '../../daemon/store/open-store.js';
import { codeOf, gate } from '../jobs/bench.js';
import { until } from '../until.js';

t.setTimeout(600_000);
const at = (text: string): number => Date.parse(text);
const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
/** The next firings after a moment. */
function firings(cron: string, zone: string, after: string, count: number): (string | null)[] {
  const times = cronTimes(cron, zone);
  const found: (string | null)[] = [];
  for (let from: number | null = at(after); from !== null && found.length < count; ) {
    from = times.next(from);
    found.push(iso(from));
  }
  return found;
}

t.test('cron expressions in time zones', async (t) => {
  t.same(firings('0 3 * * *', 'UTC', '2026-01-01T03:00:00Z', 2), [
    '2026-01-02T03:00:00.000Z',
    '2026-01-03T03:00:00.000Z',
  ]);
  t.same(firings('30 22 * * 1-5', 'America/New_York', '2026-01-02T12:00:00Z', 2), [
    '2026-01-03T03:30:00.000Z',
    '2026-01-06T03:30:00.000Z',
  ]);
  t.same(firings('0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', 1), ['2028-02-29T00:00:00.000Z']);
  t.same(firings('*/20 * * * * *', 'UTC', '2026-01-01T00:00:05Z', 2), [
    '2026-01-01T00:00:20.000Z',
    '2026-01-01T00:00:40.000Z',
  ]);
  t.same(
    firings('45 5 * * *', 'Asia/Kathmandu', '2026-01-01T00:00:00Z', 2),
    ['2026-01-02T00:00:00.000Z', '2026-01-03T00:00:00.000Z'],
    'zones of a quarter of an hour; the first one is not after itself',
  );
  t.same(firings('0 0 L * *', 'UTC', '2026-02-01T00:00:00Z', 1), ['2026-02-28T00:00:00.000Z']);
});

t.test('clocks go forward: a skipped time fires later, once', async (t) => {
  // Berlin, 2026-03-29: 02:00 becomes 03:00.
  t.same(firings('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3), [
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:30:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
  t.same(
    firings('30 2,3 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2),
    ['2026-03-29T01:30:00.000Z', '2026-03-30T00:30:00.000Z'],
    'two times that fall together fire once',
  );
  t.same(firings('0 * * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z', 3), [
    '2026-03-29T01:00:00.000Z',
    '2026-03-29T02:00:00.000Z',
    '2026-03-29T03:00:00.000Z',
  ]);
  // Lord Howe moves by half an hour, 2026-10-04: 02:00 becomes 02:30.
  t.same(firings('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00:00Z', 2), [
    '2026-10-03T15:45:00.000Z',
    '2026-10-04T15:15:00.000Z',
  ]);
});

t.test('clocks go back: a time that comes twice fires once, hourly ones each hour', async (t) => {
  // Berlin, 2026-10-25: 03:00 becomes 02:00.
  t.same(firings('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), [
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
  t.same(firings('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:45:00Z', 1), ['2026-10-26T01:30:00.000Z']);
  t.same(firings('30 * * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 3), [
    '2026-10-25T00:30:00.000Z',
    '2026-10-25T01:30:00.000Z',
    '2026-10-25T02:30:00.000Z',
  ]);
});

t.test('what can never fire is refused, with a hint', async (t) => {
  const refusal = (cron: string, zone = 'UTC'): HildaError | undefined => {
    try {
      cronTimes(cron, zone);
      return undefined;
    } catch (thrown) {
      return thrown as HildaError;
    }
  };
  for (const cron of ['', 'each night', '61 * * * *', '* * * *', '0 25 * * *', '0 0 30 2 *'])
    t.equal(refusal(cron)?.code, 'SCHEDULE_INVALID', cron);
  t.match(refusal('* * * * *', 'Europe/Berln'), { code: 'SCHEDULE_INVALID', hint: /IANA/ });
  t.equal(refusal('0 3 * * *', 'Europe/Berlin'), undefined);
});

t.test('windows of a day, over midnight too', async (t) => {
  const timing = { cron: '0 * * * *', timezone: 'Europe/Berlin', catchUp: false };
  const open = (from: string, to: string, moment: string) =>
    windowAt({ ...timing, window: { from, to } }, at(moment));
  t.equal(open('22:00', '06:00', '2026-01-01T22:30:00Z').open, true);
  t.equal(open('22:00', '06:00', '2026-01-01T05:00:00Z').open, false, 'six in Berlin');
  t.equal(open('08:00', '09:00', '2026-01-01T07:30:00Z').open, true);
  t.equal(iso(open('22:00', '06:00', '2026-01-01T22:30:00Z').closesMs), '2026-01-02T05:00:00.000Z');
  t.same(windowAt(timing, 0), { open: true, closesMs: null });
});

/** Schedules on a clock that the test moves, with work that it holds. */
async function openSchedules(t: Test, start: string, dataDir = ':memory:') {
  const clock = new ManualClock(at(start));
  const store = await openStore({ dataDir, clock });
  const schedules = new Schedules({ store, clock });
  const ran: number[] = [];
  const resumed: Json[] = [];
  const world = { work: async (): Promise<Json> => ({ fine: true }) };
  schedules.define('test', {
    run: async (_, { plannedMs, note, signal }) => {
      ran.push(plannedMs);
      await note({ began: plannedMs });
      return Promise.race([
        world.work(),
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      ]);
    },
    resume: async (_, noted) => {
      resumed.push(noted);
      return { resumed: true };
    },
  });
  const add = (name: string, cron: string, more: object = {}) =>
    schedules.add({
      name,
      kind: 'test',
      timing: { cron, timezone: 'UTC', catchUp: false, ...more },
      request: null,
    });
  const outcomes = async (name: string) =>
    (await store.firings(name)).map(
      ({ outcome, plannedMs }) => `${outcome} ${iso(plannedMs)?.slice(11, 16)}`,
    );
  /** Moves time, and lets what is due happen. */
  const pass = async (minutes: number): Promise<void> => {
    for (let i = 0; i < minutes * 4; i++) {
      await clock.advance(15_000);
      await systemClock.sleep(1);
    }
  };
  t.teardown(async () => {
    await schedules.stop();
    await store.close();
  });
  return { clock, store, schedules, ran, resumed, world, add, outcomes, pass };
}

t.test('it fires in time, once, and never two at a time', async (t) => {
  const { schedules, store, ran, world, add, outcomes, pass } = await openSchedules(
    t,
    '2026-01-01T00:00:00Z',
  );
  await schedules.start();
  t.match(await add('often', '*/2 * * * *'), {
    state: 'active',
    nextMs: at('2026-01-01T00:02:00Z'),
    last: null,
  });
  t.equal(await codeOf(add('often', '* * * * *')), 'STATE_CONFLICT');
  t.equal(await codeOf(add('wrong', 'each night')), 'SCHEDULE_INVALID');
  const unknown = { cron: '* * * * *', timezone: 'UTC', catchUp: false };
  t.equal(
    await codeOf(schedules.add({ name: 'x', kind: 'nothing', timing: unknown, request: null })),
    'SCHEDULE_INVALID',
  );
  const [held, release] = gate();
  world.work = async () => {
    await held;
    return { fine: true };
  };
  await until(async () => {
    await pass(1);
    return (await outcomes('often')).includes('overlap 00:04');
  }, 'the second firing overlaps');
  t.equal(ran.length, 1);
  release();
  await until(async () => (await outcomes('often')).includes('done 00:02'), 'the first one ends');
  world.work = async () => {
    throw new HildaError('DEVICE_GONE', 'it left');
  };
  await until(async () => {
    await pass(1);
    return (await outcomes('often')).some((one) => one.startsWith('failed'));
  }, 'a failure is recorded');
  const failed = (await store.firings('often')).find(({ outcome }) => outcome === 'failed');
  t.match(failed?.detail, { code: 'DEVICE_GONE', message: 'it left' });
  t.equal(new Set(ran).size, ran.length);
  const before = (await outcomes('often')).length;
  t.match(await schedules.pause('often'), { state: 'paused', nextMs: null });
  await pass(5);
  t.equal((await outcomes('often')).length, before, 'a paused one does not fire');
  t.match(await schedules.resume('often'), { state: 'active' });
  await schedules.remove('often');
  t.equal(await codeOf(schedules.show('often')), 'NOT_FOUND');
  t.same(await schedules.list(), []);
});

t.test('outside its window a firing is recorded and not run', async (t) => {
  const { schedules, ran, add, outcomes, pass } = await openSchedules(t, '2026-01-01T05:58:30Z');
  await schedules.start();
  await add('night', '* * * * *', { window: { from: '22:00', to: '06:00' } });
  await until(async () => {
    await pass(1);
    return (await outcomes('night')).includes('outside-window 06:00');
  }, 'the window closes');
  t.ok(ran.includes(at('2026-01-01T05:59:00Z')));
  t.notOk(ran.some((one) => one >= at('2026-01-01T06:00:00Z')));
});

t.test(
  'a clock that is set back fires nothing twice, and one that is set forward loses nothing silently',
  async (t) => {
    const { clock, schedules, ran, add, outcomes, pass } = await openSchedules(t, '2026-01-01T00:59:00Z');
    await schedules.start();
    await add('hourly', '0 * * * *');
    await until(async () => {
      await pass(1);
      return (await outcomes('hourly')).includes('done 01:00');
    }, 'it fires');
    await clock.advance(-3_600_000 * 2);
    await until(async () => {
      await pass(10);
      return (await outcomes('hourly')).includes('done 02:00');
    }, 'it goes on');
    t.equal(ran.filter((one) => one === at('2026-01-01T01:00:00Z')).length, 1, 'one o’clock came twice');
    await clock.advance(3_600_000 * 5);
    await until(async () => {
      await pass(1);
      return (await outcomes('hourly')).some((one) => one.startsWith('missed'));
    }, 'missed');
  },
);

t.test(
  'a daemon that was down records what it missed, catches up where wished, and goes on with what it left',
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'hilda-schedules-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const first = await openSchedules(t, '2026-01-01T00:00:00Z', dir);
    await first.schedules.start();
    await first.add('plain', '0 3 * * *');
    await first.add('eager', '0 3 * * *', { catchUp: true });
    await first.add('cut', '* * * * *');
    first.world.work = () => new Promise(() => {});
    await until(async () => {
      await first.pass(1);
      return first.ran.length > 0;
    }, 'one is at work');
    await until(async () => (await first.store.firings('cut')).at(-1)?.detail !== null, 'it is noted');
    await first.schedules.stop();
    await first.store.close();

    const clock = new ManualClock(at('2026-01-04T12:00:00Z'));
    const store = await openStore({ dataDir: dir, clock });
    const next = new Schedules({ store, clock });
    t.teardown(async () => {
      await next.stop();
      await store.close();
    });
    const ran: string[] = [];
    next.define('test', {
      run: async (_, { schedule }) => ran.push(schedule),
      resume: async (_, noted) => ({ resumed: noted }),
    });
    await next.start();
    const missed = (await store.firings('plain'))[0];
    t.match(missed, { outcome: 'missed', detail: { missed: 4 }, plannedMs: at('2026-01-01T03:00:00Z') });
    t.match(await next.show('plain'), { nextMs: at('2026-01-05T03:00:00Z') });
    await until(() => ran.includes('eager'), 'it catches up');
    t.notOk(ran.includes('plain'));
    await until(async () => {
      const one = (await store.firings('cut')).at(-1);
      return one?.outcome === 'done';
    }, 'what was left is gone on with');
  },
);

t.test('backups: beside the data, checked, the oldest go', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-backups-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const dataDir = join(dir, 'data');
  const clock = new ManualClock(at('2026-01-01T03:00:00Z'));
  const store = await openStore({ dataDir, clock });
  t.teardown(() => store.close());
  const { run } = scheduledBackups(dataDir, clock);
  const firing = {
    schedule: 'b',
    plannedMs: 0,
    closesMs: null,
    signal: new AbortController().signal,
    note: async () => {},
  };
  for (let i = 0; i < 3; i++) {
    await run({ keep: 2 }, firing);
    await clock.advance(86_400_000);
  }
  t.same(await readdir(`${dataDir}-backups`), ['2026-01-02T03-00-00', '2026-01-03T03-00-00']);
});

t.test(
  'a scheduled suite that breaks a limit is one alert a run, until somebody knows or it passes',
  async (t) => {
    const store = await openStore({ dataDir: ':memory:', clock: systemClock });
    t.teardown(() => store.close());
    let [run, broken] = [0, true];
    let woken = 0;
    const runs = {
      check: async () => {},
      start: async () => ({ id: String(++run) }),
      finished: async () => ({ state: 'done', suite: 'nightly' }),
      report: async (id: string) => ({
        run: { id, state: 'done' },
        rows: [],
        limits: [
          {
            metric: 'latencyUs',
            max: 10,
            network: 'first',
            place: 'a',
            value: 12,
            interval: [11, 13],
            state: broken ? 'broken' : 'kept',
          },
        ],
        alternated: [],
        comparison: null,
      }),
    };
    const alerts = new SuiteAlerts({ store, onAlerts: () => woken++ });
    const work = scheduledSuites(runs as never, { clock: systemClock, alerts });
    const request = { suite: { suite: 'nightly', networks: [{ model: 'a'.repeat(64) }], devices: ['a'] } };
    const firing = {
      schedule: 'each night',
      plannedMs: 0,
      closesMs: null,
      signal: new AbortController().signal,
      note: async () => {},
    };
    t.match(await work.run(request, firing), { run: '1', verdict: 'broken' });
    t.match(
      await work.resume?.(request, { run: '1' }, firing),
      { verdict: 'broken' },
      'a daemon that goes on',
    );
    await work.run(request, firing);
    t.match(await store.alerts({}), [
      { kind: 'suite', subject: 'each night', text: 'Run 2 of the schedule each night broke a limit.' },
      { id: 'alert-1', detail: { run: '1', broken: [/first on a: latencyUs 12/] } },
    ]);
    await store.acknowledgeAlert('alert-2' as never, { by: 'anna', note: '' });
    await work.run(request, firing);
    t.equal(await store.alertCount({}), 2, 'somebody knows');
    broken = false;
    t.match(await work.run(request, firing), { verdict: 'passed' });
    t.ok((await store.alerts({})).every((one) => one.kind === 'suite' && one.resolvedMs !== null));
    broken = true;
    await work.run(request, firing);
    t.equal(await store.alertCount({}), 3, 'it broke anew');
    t.equal(woken, 4);
  },
);
