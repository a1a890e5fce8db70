import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { type ErrorCode, HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, StudyId } from '../../daemon/core/ids.js';
import { pooledWith } from '../../daemon/fleet/equivalence.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { toldTrial } from '../../daemon/study/told-trial.js';
import { compareDevices } from '../jobs/compare-devices.js';
import { type Bench, openBench, smallSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

t.setTimeout(900_000);

interface Opened extends Bench {
  readonly driver: LeavingDriver;
  readonly dataDir: string;
}

async function open(t: Test, driver = new LeavingDriver()): Promise<Opened> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-absence-'));
  const bench = await openBench(dataDir, {}, () => [driver]);
  t.teardown(async () => {
    await bench.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  return { ...bench, driver, dataDir };
}

const objectives = [
  { metric: 'accuracy', goal: 'max' },
  { metric: 'latencyUs', goal: 'min' },
  { metric: 'latencyUs@fake-1', goal: 'min' },
];
const twoDevices = { devices: ['fake-0', 'fake-1'], objectives, sampler: { name: 'nsga2' } };

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (await holds()) return;
    await systemClock.sleep(10);
  }
  throw new Error(`never: ${what}`);
}

const measuredOn = (trials: readonly TrialRecord[], id: string): number[] =>
  trials.filter(({ measurements }) => measurements[id as DeviceId]).map(({ number }) => number);

t.test('trials of a device that left are held, and have their measurement once it is back', async (t) => {
  const { driver, studies, store, dataDir } = await open(t);
  driver.before = (id, count) => {
    if (id === 'fake-1' && count === 9) driver.leave('fake-1');
  };
  const { id } = await studies.create(await smallSpec(dataDir, twoDevices));
  // Of the second batch of six, two are whole; the other device measures all six meanwhile.
  const batch = async () => (await store.trials(id)).slice(6, 12);
  await until(async () => measuredOn(await batch(), 'fake-0').length === 6, 'the other device goes on');
  await systemClock.sleep(700);
  t.equal((await studies.show(id)).record.state, 'running');
  t.equal((await batch()).filter(({ state }) => state === 'asked').length, 4, 'four trials are held');
  t.equal((await store.trials(id)).length, 12, 'and nothing new is asked without them');
  driver.return('fake-1');
  await studies.settled(id);
  t.match(await store.study(id), { state: 'completed', reason: null });
  const trials = await store.trials(id);
  t.ok(trials.every(({ state, reason }) => state === 'complete' && reason === null));
  for (const device of ['fake-0', 'fake-1']) {
    t.equal(measuredOn(trials, device).length, 24);
    const taken = await store.measurements({ studyId: id, deviceId: device as DeviceId, limit: 100 });
    t.equal(taken.length, 24, `${device} measured none twice`);
  }
});

t.test('a study goes on without a device that stays away, and with it once it is back', async (t) => {
  const { driver, studies, store, dataDir } = await open(t);
  let back = false;
  driver.before = async (id, count) => {
    if (id === 'fake-1' && count === 13) driver.leave('fake-1');
    // For good, once everything was searched: what it missed stays missing.
    const [study] = await studies.list();
    const trials = study ? await store.trials(study.id) : [];
    if (id === 'fake-1' && trials.length === 48 && trials.every(({ told }) => told)) driver.leave('fake-1');
    if (id === 'fake-0' && count === 25 && !back) {
      back = true;
      driver.return('fake-1');
    }
  };
  const spec = await smallSpec(dataDir, { ...twoDevices, budget: { trials: 48 }, holdMinutes: 0 });
  const { id } = await studies.create(spec);
  await studies.settled(id);
  t.match(await store.study(id), { state: 'completed', reason: /^\d+ trials lack fake-1: resume it/ });
  const trials = await store.trials(id);
  t.ok(trials.every(({ state }) => state === 'complete'));
  t.equal(measuredOn(trials, 'fake-0').length, 48);
  const whole = measuredOn(trials, 'fake-1');
  const partial = trials.filter(({ number }) => !whole.includes(number));
  t.ok(partial.length >= 10 && partial.length < 24, `${partial.length} trials without the second device`);
  t.same((await studies.show(id)).devices, [
    { deviceId: 'fake-0', measured: 48, missing: 0 },
    { deviceId: 'fake-1', measured: whole.length, missing: partial.length },
  ]);
  t.ok(whole.filter((number) => number > partial.at(-1)!.number).length >= 20, 'it has its share again');
  for (const { values, reason } of partial) {
    t.match(reason, /not measured on fake-1/);
    t.equal(values['latencyUs@fake-1'], undefined, 'nothing is made up');
    t.ok(values.accuracy! > 0 && values.latencyUs! > 0);
  }

  const { front, devices } = await studies.fronts(id);
  const inFront = (rows: readonly { trialNumber: number }[]) => rows.map(({ trialNumber }) => trialNumber);
  t.ok(
    inFront(front).length > 0 && inFront(front).every((n) => whole.includes(n)),
    'the joint front is of whole trials',
  );
  t.ok(inFront(devices[1]!.front).every((n) => whole.includes(n)));
  const dominates = (a: TrialRecord, b: TrialRecord): boolean =>
    a.values.accuracy! >= b.values.accuracy! && a.values.latencyUs! < b.values.latencyUs!;
  const own = trials.filter((one) => !trials.some((other) => dominates(other, one)));
  t.same(
    inFront(devices[0]!.front).toSorted((a, b) => a - b),
    own.map(({ number }) => number),
    "the other device's front is of all its trials",
  );
  t.equal((await studies.show(id)).frontSize, front.length);

  // The sampler hears of them with what was predicted, where something was.
  const predicted = { 'latencyUs@fake-1': { mean: 77, low: 70, high: 80 } };
  const asked = { objectives, constraints: [] } as Parameters<typeof toldTrial>[1];
  t.match(toldTrial({ ...partial[0]!, predicted }, asked).values, { 'latencyUs@fake-1': 77 });
  t.same(toldTrial({ ...trials[0]!, predicted }, asked).values, trials[0]!.values, 'measured values stand');
});

t.test('a study that no device is left to ends, keeps its trials, and is resumed', async (t) => {
  const { driver, studies, store, dataDir } = await open(t);
  driver.before = (id, count) => {
    if (id === 'fake-0' && count === 8) driver.leave('fake-0', 'fake-1');
  };
  const { id } = await studies.create(await smallSpec(dataDir, { ...twoDevices, holdMinutes: 0.005 }));
  await studies.settled(id);
  t.match(await store.study(id), {
    state: 'failed',
    reason: /^DEVICE_GONE: no device of the study is there/,
  });
  const left = await store.trials(id);
  t.equal(left.length, 12);
  t.ok(left.filter(({ state }) => state === 'asked').length >= 5, 'no trial was spent on nobody');
  driver.before = () => {};
  driver.return('fake-0', 'fake-1');
  await studies.resume(id as StudyId);
  await studies.settled(id);
  const trials = await store.trials(id);
  t.equal(trials.filter(({ state, reason }) => state === 'complete' && reason === null).length, 24);
});

t.test(
  'a study whose board left does not go on with another one of its model that is not equivalent',
  async (t) => {
    const rates = { macsPerUs: 200, bytesPerUs: 1e5, operatorUs: 0.1 };
    const [own, twin, lame, untested] = ['fake-0', 'fake-1', 'fake-2', 'fake-3'] as DeviceId[] as [
      DeviceId,
      DeviceId,
      DeviceId,
      DeviceId,
    ];
    // By their targets nobody could tell them apart; one is a fifth slower.
    const ratesOf: Record<string, typeof rates> = {
      [own]: rates,
      [twin]: rates,
      [lame]: { ...rates, macsPerUs: 160 },
      [untested]: rates,
    };
    const driver = new LeavingDriver([own, twin, lame, untested], ratesOf);
    const { studies, store, pool, jobs, clock, dataDir } = await open(t, driver);
    const { signal } = new AbortController();
    const compare = (id: DeviceId) =>
      compareDevices(own, id, { store, jobs, clock }, { signal, protocol: 'quick', visits: 3 });
    const slower = await compare(lame);
    t.notOk(slower.equivalent, JSON.stringify(slower));
    t.same(await pooledWith(own, store), [own], 'a failed test pools nothing');

    const taken = async (id: StudyId, deviceId: DeviceId) =>
      (await store.measurements({ studyId: id, deviceId, limit: 100 })).length;
    const alone = { devices: [own], sampler: { name: 'nsga2' }, holdMinutes: 0.005 };
    await t.test('it ends, keeps its trials, and is resumed with the very board', async (t) => {
      const base = driver.measured.get(own) ?? 0;
      driver.before = (id, count) => {
        if (id === own && count === base + 8) driver.leave(own);
      };
      const { id } = await studies.create(await smallSpec(dataDir, alone));
      await studies.settled(id);
      t.match(await store.study(id), {
        state: 'failed',
        reason: /^DEVICE_GONE: no device of the study is there: fake-0/,
      });
      for (const other of [twin, lame, untested]) {
        t.ok(pool.presence(other).present, `${other} is there, and free`);
        t.equal(await taken(id, other), 0, 'but not asked');
      }
      driver.before = () => {};
      driver.return(own);
      await studies.resume(id);
      await studies.settled(id);
      t.match(await store.study(id), { state: 'completed', reason: null });
      t.equal(await taken(id, own), 24);
      t.equal(await taken(id, lame), 0);
    });

    await t.test(
      'beside an equivalent one, that one alone stands in, as long as the test says so',
      async (t) => {
        t.ok((await compare(twin)).equivalent);
        t.same(await pooledWith(own, store), [own, twin], 'and what it is like to others says nothing');
        t.same(await pooledWith(lame, store), [lame]);
        const base = driver.measured.get(own) ?? 0;
        const before = driver.measured.get(twin) ?? 0;
        driver.before = async (id, count) => {
          if (id === own && count === base + 5) driver.leave(own);
          if (id !== twin || count !== before + 8) return;
          // Somebody measures it again, and finds that it has become slower.
          const verdict = { ...slower, devices: [own, twin], takenAtMs: clock.nowMs() };
          await store.setValue(`equivalence ${own} ${twin}`, verdict as never);
        };
        const { id } = await studies.create(await smallSpec(dataDir, alone));
        await studies.settled(id);
        t.match(await store.study(id), { state: 'failed', reason: /^DEVICE_GONE/ });
        t.ok((await taken(id, own)) >= 4);
        const stoodIn = await taken(id, twin);
        t.ok(stoodIn >= 4 && stoodIn <= 8, `${stoodIn} by its equal, until the test failed`);
        t.equal(await taken(id, lame), 0);
        t.equal(await taken(id, untested), 0);
        driver.before = () => {};
      },
    );
  },
);

t.test('a device that a person sets aside is missed as one that left', async (t) => {
  const { driver, studies, store, pool, dataDir } = await open(t);
  driver.before = async (id, count) => {
    if (id === 'fake-1' && count === 7) await pool.setAside('fake-1' as DeviceId, 'quarantined', 'smells');
  };
  const { id } = await studies.create(await smallSpec(dataDir, twoDevices));
  await until(
    async () => measuredOn(await store.trials(id), 'fake-0').length === 12,
    'the other one goes on',
  );
  await pool.adopt('fake-1' as DeviceId);
  await studies.settled(id);
  t.match(await store.study(id), { state: 'completed', reason: null });
  t.equal(measuredOn(await store.trials(id), 'fake-1').length, 24);
});

/** A device that fails to open, for any reason, is set aside with that reason. */
const unopened =
  (code: ErrorCode, message: string) =>
  async ({ driver, store, pool }: Opened): Promise<void> => {
    const id = 'fake-1' as DeviceId;
    driver.beforeOpen = (opened) => {
      if (opened === id) throw new HildaError(code, message);
    };
    await until(async () => (await store.device(id)).state === 'quarantined', 'it is quarantined');
    const { reason } = await store.device(id);
    t.ok(reason?.includes(message) && /3 times in a row/.test(reason), String(reason));
    driver.beforeOpen = () => {};
    await pool.adopt(id);
  };

t.test(
  'a device that has an obstacle, does not open or is in other hands is missed as one that left',
  async (t) => {
    const troubles = {
      async obstacle({ driver }: Opened) {
        driver.obstacles.set('fake-1', 'unlock it');
        driver.leave();
        await systemClock.sleep(600);
        driver.obstacles.clear();
        driver.leave();
      },
      async busy({ driver }: Opened) {
        driver.beforeOpen = (id) => {
          if (id === 'fake-1') throw new HildaError('DEVICE_BUSY', 'another program has it');
        };
        await systemClock.sleep(600);
        driver.beforeOpen = () => {};
      },
      locked: unopened('DEVICE_FAILED', 'its browser opens no page'),
      misled: unopened('NOT_FOUND', 'the runner cannot be read'),
      fallingBack: unopened('PROVIDER_FALLBACK', 'the reference runs on the CPU'),
    };
    // Each in a daemon of its own, side by side: most of the time is waiting.
    const spent = async ([what, trouble]: [string, (opened: Opened) => Promise<void>]) => {
      const opened = await open(t);
      const { driver, studies, store, dataDir } = opened;
      let over: Promise<void> | undefined;
      driver.before = (id, count) => {
        if (id !== 'fake-1' || count !== 9) return;
        over = trouble(opened);
        throw new HildaError('DEVICE_GONE', 'it lost its line');
      };
      const { id } = await studies.create(await smallSpec(dataDir, twoDevices));
      await studies.settled(id);
      await over;
      t.match(await store.study(id), { state: 'completed', reason: null }, what);
      const trials = await store.trials(id);
      t.ok(
        trials.every(({ state, reason }) => state === 'complete' && reason === null),
        `${what}: no trial was spent on it`,
      );
      t.equal(measuredOn(trials, 'fake-1').length, 24);
    };
    await Promise.all(Object.entries(troubles).map(spent));
  },
);
