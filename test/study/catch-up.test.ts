import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, StudyId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device, Examples, Sighting } from '../../daemon/devices/contract.js';
import type { Evaluator } from '../../daemon/evaluate/contract.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { profilesDir } from '../../daemon/process/installation.js';
import { createSampler } from '../../daemon/search/samplers/registry.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { openStudyParts } from '../../daemon/study/parts.js';
import { runStudy } from '../../daemon/study/run-study.js';
import { StudyService } from '../../daemon/study/service.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { type Bench, openBench, smallSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

t.setTimeout(900_000);

interface CatchUpBench extends Bench {
  readonly driver: LeavingDriver;
  readonly dataDir: string;
  /** The only study's trials; none before it is made. */
  trials(): Promise<TrialRecord[]>;
  /** Whether all there is to ask was asked and told. */
  isSearched(): Promise<boolean>;
  takenOn(id: string): Promise<number>;
}

async function open(t: Test): Promise<CatchUpBench> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-catch-up-'));
  const driver = new LeavingDriver();
  const bench = await openBench(dataDir, {}, () => [driver]);
  t.teardown(async () => {
    await bench.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const { store } = bench;
  const trials = async () => {
    const [study] = await store.studies();
    return study ? store.trials(study.id) : [];
  };
  const isSearched = async () => {
    const all = await trials();
    return all.length === 24 && all.every(({ told }) => told);
  };
  const takenOn = async (id: string) =>
    (await store.measurements({ deviceId: id as DeviceId, limit: 1000 })).length;
  return { ...bench, driver, dataDir, trials, isSearched, takenOn };
}

const twoDevices = {
  devices: ['fake-0', 'fake-1'],
  objectives: [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
    { metric: 'latencyUs@fake-1', goal: 'min' },
  ],
  holdMinutes: 0,
};

/** The second device is away from its fifth measurement until the first one takes its `until`-th. */
const isAway =
  (driver: LeavingDriver, until: number): LeavingDriver['before'] =>
  (id, count) => {
    if (id === 'fake-1' && count === 5) driver.leave('fake-1');
    if (id === 'fake-0' && count === until) driver.return('fake-1');
  };

/** What a study found, without ids and times. A limit that is broken late leaves an accuracy behind, which stands nowhere. */
async function found({ studies }: Bench, id: StudyId, trials: readonly TrialRecord[]) {
  const { front, devices } = await studies.fronts(id);
  const { hypervolume, frontSize, devices: counts } = await studies.show(id);
  const rows = (all: typeof front) => all.map(({ measurementIds: _, ...row }) => row);
  return {
    trials: trials.map(({ architectureId, state, values, reason }) => ({
      architectureId,
      state,
      values: state === 'infeasible' ? { ...values, accuracy: undefined } : values,
      reason,
    })),
    front: rows(front),
    devices: devices.map((one) => ({ ...one, front: rows(one.front) })),
    hypervolume,
    frontSize,
    counts,
  };
}

async function unbroken(t: Test, changes: object) {
  const bench = await open(t);
  const { id } = await bench.studies.create(await smallSpec(bench.dataDir, { ...twoDevices, ...changes }));
  await bench.studies.settled(id);
  return found(bench, id, await bench.trials());
}

t.test(
  'what a device missed is measured behind new trials, and the study is that of an unbroken run',
  async (t) => {
    // Some trials break the second device's limit, too, and are found out late.
    const changes = { constraints: [{ metric: 'latencyUs@fake-1', max: 1000 }], batch: 24 };
    const whole = await unbroken(t, changes);
    const bench = await open(t);
    const { driver, studies, store, dataDir, trials } = bench;
    const leaves = isAway(driver, 20);
    let midway: Awaited<ReturnType<typeof studies.show>> | undefined;
    driver.before = async (device, count) => {
      const [study] = await studies.list();
      if (device === 'fake-0' && count === 20) midway = await studies.show(study!.id);
      await leaves(device, count);
    };
    const { id } = await studies.create(await smallSpec(dataDir, { ...twoDevices, ...changes }));
    await studies.settled(id);
    const all = await trials();
    const after = await found(bench, id, all);
    t.ok(midway!.devices[1]!.missing >= 8, `${midway!.devices[1]!.missing} were missing`);
    t.same(after, whole);
    t.match(await store.study(id), { state: 'completed', reason: null });
    t.same(
      after.counts,
      ['fake-0', 'fake-1'].map((deviceId) => ({ deviceId, measured: 24, missing: 0 })),
    );
    t.ok(
      after.trials.some(
        ({ state, reason }) => state === 'infeasible' && /^latencyUs@fake-1/.test(reason ?? ''),
      ),
    );
    t.equal(await bench.takenOn('fake-0'), 24);
    t.equal(await bench.takenOn('fake-1'), 24, 'none twice');

    const events = await store.events(0, { topics: [`study.${id}`], limit: 10_000 });
    const told = events.findLastIndex(({ data }) => (data as { type: string }).type === 'told');
    const late = events.slice(told).flatMap(({ data }) => {
      const { type, number } = data as { type: string; number: number };
      return type === 'trial' ? [number] : [];
    });
    t.ok(late.length >= 8, 'they were revised after everything was told');
    t.equal(new Set(late).size, late.length, 'each once');
    t.equal(
      events.filter(({ data }) => (data as { type: string }).type === 'told').length,
      1,
      'and the sampler heard nothing of it',
    );
  },
);

t.test('kill -9 at any moment of an absence: no trial runs twice, and all is caught up', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-catch-up-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const spec = await smallSpec(dir, twoDevices);
  const whole = await unbroken(t, {});
  const child = new URL('./killed-child.js', import.meta.url).pathname;
  let killedLate = 0;
  for (let round = 0, done = false; !done && round < 40; round++) {
    done = await new Promise<boolean>((resolve, reject) => {
      const run = spawn(process.execPath, [child, dir, JSON.stringify(spec), 'leaves'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let lines = 0;
      run.stdout.on('data', (chunk: Buffer) => {
        const text = chunk.toString();
        lines += text.split('\n').length - 1;
        const late = /"late":true/.test(text);
        // The first run sees the device leave and come back; the later ones end wherever they are.
        if (lines < (round === 0 ? 22 : 2)) return;
        if (late && run.exitCode === null) killedLate++;
        setTimeout(() => run.kill('SIGKILL'), (round % 5) * 2);
      });
      run.on('error', reject);
      run.on('close', (code) => resolve(code === 0));
    });
  }
  t.ok(killedLate > 0, 'some died while they caught up');
  const driver = new LeavingDriver();
  const bench = await openBench(dir, {}, () => [driver]);
  t.teardown(() => bench.close());
  const [study] = await bench.studies.list();
  const trials = await bench.store.trials(study!.id);
  t.match(study, { state: 'completed', reason: null });
  t.same(await found(bench, study!.id, trials), whole);
  for (const deviceId of ['fake-0', 'fake-1'] as DeviceId[]) {
    const taken = await bench.store.measurements({ studyId: study!.id, deviceId, limit: 1000 });
    t.equal(taken.length, 24, `${deviceId} measured each once`);
  }
});

t.test(
  'a completed study is resumed for what it lacks, asks no more, and says what stays missing',
  async (t) => {
    const bench = await open(t);
    const { driver, studies, store, dataDir, trials, isSearched } = bench;
    driver.before = isAway(driver, Number.POSITIVE_INFINITY);
    const spec = await smallSpec(dataDir, { ...twoDevices, attempts: 1 });
    const { id } = await studies.create(spec);
    await studies.settled(id);
    t.match(await store.study(id), {
      state: 'completed',
      reason: '20 trials lack fake-1: resume it once what is missing is there',
    });
    t.ok((await trials()).slice(6).every(({ reason }) => reason === 'not measured on fake-1: not there'));

    await studies.resume(id);
    await studies.settled(id);
    t.equal((await studies.show(id)).devices[1]!.missing, 20, 'it is still away');

    // A study that learns from it counts on what it says.
    const learner = await smallSpec(dataDir, {
      ...twoDevices,
      devices: ['fake-0'],
      objectives: twoDevices.objectives.slice(0, 2),
      transfer: [id],
      sampler: { name: 'linas' },
    });
    driver.before = () => new Promise(() => {});
    const { id: learning } = await studies.create(learner);
    await studies.pause(learning);
    await t.rejects(studies.resume(id), {
      code: 'STATE_CONFLICT',
      message: new RegExp(`${learning} learns from it`),
    });
    await studies.stopStudy(learning);

    driver.return('fake-1');
    let midway = 0;
    driver.before = async (device) => {
      if (device !== 'fake-1' || ++midway !== 7) return;
      t.equal((await store.study(id)).state, 'completed', 'it stays so');
      await t.rejects(studies.resume(id), { code: 'STATE_CONFLICT' }, 'it is under way');
      await t.rejects(studies.create(learner), { code: 'SPEC_INVALID', message: /is being caught up/ });
      void studies.pause(id);
      await systemClock.sleep(20);
    };
    const twice = await Promise.allSettled([studies.resume(id), studies.resume(id)]);
    t.match(twice, [
      { status: 'fulfilled', value: { state: 'completed' } },
      { status: 'rejected', reason: { code: 'STATE_CONFLICT' } },
    ]);
    await studies.settled(id);
    const short = (await studies.show(id)).devices[1]!.missing;
    t.ok(short >= 12 && short < 16, `${short} are left when it is paused`);
    t.equal((await store.study(id)).state, 'completed');

    // One gives no answer, one refuses its network: neither ends the study.
    midway = 0;
    driver.before = (device) => {
      if (device !== 'fake-1') return;
      midway++;
      if (midway === 3 || midway === 4) throw new HildaError('MEASUREMENT_INVALID', 'it is unsteady');
      // The network comes twice, each time before a reference.
      if (midway === 9 || midway === 11) throw new HildaError('NETWORK_REJECTED', 'no such operator');
    };
    await studies.resume(id);
    await studies.settled(id);
    t.ok(await isSearched(), 'nothing was asked');
    t.equal((await studies.show(id)).devices[1]!.missing, 2);
    const silent = (await trials()).filter(({ state, reason }) => state === 'complete' && reason !== null);
    t.same(
      silent.map(({ reason }) => reason),
      Array(2).fill('not measured on fake-1: MEASUREMENT_INVALID: it is unsteady'),
    );
    const refused = (await trials()).filter(({ state }) => state === 'infeasible');
    t.match(refused, [{ reason: /^NETWORK_REJECTED: on fake-1, no such operator/ }]);
    t.equal(refused.length, 1);

    driver.before = () => {};
    await studies.resume(id);
    await studies.settled(id);
    t.match(await store.study(id), { state: 'completed', reason: null });
    t.same((await studies.show(id)).devices[1], { deviceId: 'fake-1', measured: 23, missing: 0 });
    await t.rejects(studies.resume(id), { code: 'STATE_CONFLICT' }, 'nothing is left');
  },
);

t.test('a device that leaves again while it catches up is waited for as in the search', async (t) => {
  const bench = await open(t);
  const { driver, studies, store, dataDir, isSearched } = bench;
  const leaves = isAway(driver, 20);
  let late = 0;
  driver.before = async (device, count) => {
    await leaves(device, count);
    if (device !== 'fake-1' || !(await isSearched()) || ++late !== 3) return;
    driver.leave('fake-1');
    void systemClock.sleep(300).then(() => driver.return('fake-1'));
  };
  const { id } = await studies.create(await smallSpec(dataDir, { ...twoDevices, holdMinutes: 0.02 }));
  await studies.settled(id);
  t.ok(late > 3, 'it went on');
  t.match(await store.study(id), { state: 'completed', reason: null });
  t.equal(await bench.takenOn('fake-1'), 24);
});

t.test("nothing more is begun once the study's time is up", async (t) => {
  const { driver, store, pool, jobs, dataDir, isSearched } = await open(t);
  const leaves = isAway(driver, 20);
  const limitMs = 3_600_000;
  let [late, aheadMs] = [0, 0];
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  const studies = new StudyService({ store, pool, jobs, clock, profilesDir });
  driver.before = async (device, count) => {
    await leaves(device, count);
    if (device === 'fake-1' && (await isSearched()) && ++late === 1) aheadMs = limitMs;
  };
  const budget = { trials: 24, maxMinutes: limitMs / 60_000 };
  const { id } = await studies.create(await smallSpec(dataDir, { ...twoDevices, budget }));
  await studies.settled(id);
  // Two work at a time, and take turns on the device.
  t.ok(late >= 1 && late <= 2, `${late} were begun`);
  t.match((await studies.show(id)).record, { state: 'completed', reason: /trials lack fake-1/ });
});

/** The second of two devices runs an int8 network, and tells its classes once it was measured. */
class Int8Driver extends LeavingDriver {
  classified = 0;
  beforeClassify: (count: number) => void = () => {};

  override async *discover(options: Parameters<LeavingDriver['discover']>[0]): AsyncIterable<Sighting> {
    for await (const sighting of super.discover(options))
      yield sighting.id === 'fake-1'
        ? { ...sighting, target: { ...sighting.target, dtype: 'int8' as const } }
        : sighting;
  }

  override async open(sighting: Sighting, options: { signal: AbortSignal }): Promise<Device> {
    const device = await super.open(sighting, options);
    if (sighting.id !== 'fake-1') return device;
    const classify: Device['classify'] = async (network) => {
      this.beforeClassify(++this.classified);
      if (this.away.has('fake-1')) throw new HildaError('DEVICE_GONE', 'unplugged');
      return Uint16Array.of(Number.parseInt(structureHash(network).slice(0, 2), 16));
    };
    return Object.assign(device, { classify });
  }
}

const oneValue = { values: new Float32Array(1), count: 1 };
const oneExample: Examples = {
  ...oneValue,
  ranges: async () => new Map(),
  calibration: { ...oneValue, batch: 1 },
};

/** As if so many images had been counted. */
const counted = (architecture: Architecture, images: number) => {
  const right = Uint8Array.from(
    { length: images },
    (_, i) => (Number((architecture as number[])[0]) >> i) & 1,
  );
  const evidence = { ci: [0, 1], images, compared: null, source: 'a count' } as const;
  return { evidence: { accuracy: evidence }, answers: { accuracy: { set: 'the images', right } } };
};

t.test('accuracy as a device runs the network is caught up too, wherever it left', async (t) => {
  const { signal } = new AbortController();
  const run = async (devices: readonly string[], leaves: (driver: Int8Driver) => void) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'hilda-catch-up-'));
    const driver = new Int8Driver();
    const bench = await openBench(dataDir, {}, () => [driver]);
    const { store, pool, jobs, clock } = bench;
    const objectives = [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
    ];
    const spec = parseStudySpec(await smallSpec(dataDir, { ...twoDevices, devices, objectives }));
    const parts = await openStudyParts(spec, profilesDir);
    const { space, evaluator: table } = parts;
    const evaluator: Evaluator = {
      metrics: table.metrics,
      cost: table.cost,
      evaluate: async (...given) => ({ ...(await table.evaluate(...given)), ...counted(given[0], 8) }),
      deployed: async (architecture, classify) => {
        const classes = await classify(space.network(architecture), oneExample);
        const values = { accuracy: (classes[0] as number) / 1000 };
        return { values, source: 'the one class', ...counted(architecture, 4) };
      },
      close: () => table.close(),
    };
    const study = await store.createStudy({
      name: spec.name,
      spec: spec as unknown as Json,
      sampler: null,
      rng: Xoshiro128.fromSeed(spec.seed).state(),
    });
    leaves(driver);
    const sampler = createSampler('random', {});
    await runStudy({ ...parts, evaluator, spec, study, sampler, store, pool, jobs, clock }, { signal });
    const trials = await store.trials(study.id);
    const answers = await store.answers(
      study.id,
      trials.map(({ number }) => number),
    );
    await bench.close();
    await rm(dataDir, { recursive: true, force: true });
    const values = trials.map((trial) => trial.values);
    const evidence = trials.map((trial) => trial.evidence);
    return { values, evidence, answers: [...answers], classified: driver.classified };
  };
  for (const devices of [
    ['fake-0', 'fake-1'],
    ['fake-1', 'fake-0'],
  ]) {
    const whole = await run(devices, () => {});
    const own = devices[0] === 'fake-1' ? 'accuracy' : 'accuracy@fake-1';
    t.ok(whole.values.every((values) => values[own] !== undefined && values[own] < 0.256));
    const float = devices[0] === 'fake-1' ? 'floatAccuracy' : 'accuracy';
    t.ok(whole.evidence.every((one) => one[own]?.images === 4 && one[float]?.images === 8));
    t.ok(
      whole.answers.every(([, one]) => one[own]?.right.length === 4 && one.floatAccuracy?.right.length === 8),
    );
    t.equal(whole.classified, 24);
    const comesBack = (driver: Int8Driver): void => {
      driver.before = (id, count) => {
        if (id === 'fake-0' && count === 20) driver.return('fake-1');
      };
    };
    const leftAtOnce = await run(devices, (driver) => {
      comesBack(driver);
      driver.leave('fake-1');
    });
    t.same(leftAtOnce.values, whole.values, `${devices}: it was away from the start`);
    t.same(leftAtOnce.evidence, whole.evidence, 'what the values rest on, too');
    t.same(leftAtOnce.answers, whole.answers, 'image by image');
    t.equal(leftAtOnce.classified, 24);
    const leftMeasured = await run(devices, (driver) => {
      comesBack(driver);
      driver.beforeClassify = (count) => {
        if (count === 5) driver.leave('fake-1');
      };
    });
    t.same(leftMeasured.values, whole.values, `${devices}: it left between its latency and its classes`);
    t.same([leftMeasured.evidence, leftMeasured.answers], [whole.evidence, whole.answers]);
    t.equal(leftMeasured.classified, 25, 'those that it had told are not asked again');
  }
});
