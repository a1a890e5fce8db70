import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse as parseYaml } from 'yaml';
import { ManualClock } from '../../daemon/core/clock.js';
import { type ErrorCode, HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, StudyId } from '../../daemon/core/ids.js';
import type { Device } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { loadBoardProfiles, profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { StudyService } from '../../daemon/study/service.js';
import { parseStudySpec, renameDevices } from '../../daemon/study/spec.js';
import { timeLeft } from '../../daemon/study/time-left.js';
import { workersOf } from '../../daemon/study/work-through.js';
import { FailingDriver } from '../blame/failing-driver.js';
import { compareDevices } from '../jobs/compare-devices.js';
import { openBench, profilesDir, smallSpec, testSpec } from './bench.js';

const dataDir = async (t: Test): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-study-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

/** The architectures of a study, in the order of asking. */
async function proposals(dir: string, spec: object): Promise<string[]> {
  const bench = await openBench(dir);
  const { id } = await bench.studies.create(spec);
  await bench.studies.settled(id);
  const ids = (await bench.store.trials(id)).map((trial) => trial.architectureId);
  await bench.close();
  return ids;
}

t.test('a study goes on with an equivalent board when its own is taken away', async (t) => {
  const dir = await dataDir(t);
  const bench = await openBench(dir, { ids: ['fake-0', 'fake-1'], delayMs: 5 });
  t.teardown(() => bench.close());
  const { store, pool, jobs, clock } = bench;
  const [first, second] = ['fake-0', 'fake-1'] as DeviceId[] as [DeviceId, DeviceId];
  const { signal } = new AbortController();
  t.ok(
    (await compareDevices(first, second, { store, jobs, clock }, { signal, protocol: 'quick' })).equivalent,
  );
  const { id } = await bench.studies.create(await smallSpec(dir, {}));
  const stop = store.onEvents(() => {
    stop();
    void pool.setAside(first, 'quarantined', 'smells');
  });
  await bench.studies.settled(id);
  t.equal((await store.study(id)).state, 'completed', (await store.study(id)).reason ?? '');
  const taken = await store.measurements({ studyId: id, deviceId: second, limit: 100 });
  t.ok(taken.length > 10, `${taken.length} measurements on the other board`);
  t.ok((await bench.studies.fronts(id)).front.length > 0);
});

t.test('a study of two devices has a front for each, and both must run a network', async (t) => {
  const bench = await openBench(await dataDir(t), { ids: ['fake-0', 'fake-1'] });
  t.teardown(() => bench.close());
  // Short names stand for ids in metrics too.
  const { id } = await bench.studies.create(
    testSpec({
      devices: ['fake-1', 'fake-0'],
      objectives: [
        { metric: 'accuracy', goal: 'max' },
        { metric: 'latencyUs', goal: 'min' },
        { metric: 'latencyUs@fake-0', goal: 'min' },
      ],
      constraints: [{ metric: 'peakBytes@fake-0', max: 300_000 }],
    }),
  );
  await bench.studies.settled(id);
  t.equal((await bench.studies.show(id)).record.state, 'completed');
  const joint = new Set((await bench.studies.fronts(id)).front.map(({ trialNumber }) => trialNumber));
  const [first, second] = (await bench.studies.fronts(id)).devices;
  t.same([first?.deviceId, second?.deviceId], ['fake-1', 'fake-0']);
  t.same(
    second?.objectives.map(({ metric }) => metric),
    ['accuracy', 'latencyUs@fake-0'],
  );
  for (const { front, deviceId } of [first!, second!]) {
    t.ok(front.length > 0 && front.length <= joint.size);
    for (const { trialNumber, values, measurementIds } of front) {
      t.ok(joint.has(trialNumber), 'what is best on one device is on the front of both');
      t.ok((await bench.store.measurement(measurementIds[0]!)).deviceId === deviceId);
      t.notOk(
        Object.keys(values).some(
          (metric) => /@/.test(metric) !== (deviceId === 'fake-0') && /latency/.test(metric),
        ),
      );
    }
  }
  const infeasible = (await bench.store.trials(id)).filter(({ state }) => state === 'infeasible');
  t.ok(infeasible.length > 0);
  for (const { reason } of infeasible) t.match(reason, /peakBytes@fake-0/, 'the limit of the second device');
});

t.test('a study runs to its end: every front member was measured and is within the limits', async (t) => {
  const bench = await openBench(await dataDir(t));
  t.teardown(() => bench.close());
  const { id } = await bench.studies.create(
    testSpec({ constraints: [{ metric: 'parameters', max: 80_000 }] }),
  );
  await bench.studies.settled(id);
  const summary = await bench.studies.show(id);
  t.equal(summary.record.state, 'completed', summary.record.reason ?? '');
  t.equal(summary.told, 24);
  t.equal(summary.asked, 0);
  t.equal(summary.complete + summary.infeasible + summary.failed, 24);
  t.ok(summary.infeasible > 0, 'the limit bites');
  t.ok(summary.hypervolume > 0 && summary.hypervolume < 1);

  const trials = await bench.store.trials(id);
  t.equal(new Set(trials.map((trial) => trial.architectureId)).size, trials.length, 'no architecture twice');
  for (const trial of trials.filter((x) => x.state === 'infeasible' && x.reason?.startsWith('parameters'))) {
    t.same(trial.measurements, {}, 'a static limit costs no measurement');
  }
  const { front } = await bench.studies.fronts(id);
  t.equal(front.length, summary.frontSize);
  for (const row of front) {
    t.ok(row.parameters <= 80_000);
    t.equal(row.measurementIds.length, 1);
    const taken = await bench.store.measurement(row.measurementIds[0]!);
    t.equal(taken.verdict, 'valid');
    t.equal(taken.latency?.normalisedUs, row.values.latencyUs);
    t.equal(taken.trialNumber, row.trialNumber);
  }
  const sorted = front.map((row) => row.values);
  for (const [i, a] of sorted.entries()) {
    for (const b of sorted.slice(i + 1))
      t.notOk(
        a.accuracy! >= b.accuracy! && a.latencyUs! <= b.latencyUs!,
        'front members do not dominate one another',
      );
  }

  const exported = await bench.studies.exportTrial(id, front[0]!.trialNumber);
  t.ok(readOnnx(exported.onnx).nodes.length > 5);
  t.equal((exported.manifest as { architectureId: string }).architectureId, front[0]!.architectureId);
});

t.setTimeout(900_000);

t.test('the same seed proposes the same architectures; a pause changes nothing', async (t) => {
  // One by a command, which a pause interrupts; the others by a table, whose trials cost no process.
  for (const sampler of ['regularized-evolution', 'nsga2', 'linas']) {
    const dir = await dataDir(t);
    const changes = { sampler: { name: sampler }, budget: { trials: 18 } };
    const spec = sampler === 'linas' ? testSpec(changes) : await smallSpec(dir, changes);
    const unbroken = await proposals(await dataDir(t), spec);
    t.equal(unbroken.length, 18);
    const bench = await openBench(dir);
    const { id } = await bench.studies.create(spec);
    let pauses = 0;
    // Each pause costs the trials under way: one later than the last, so that a slow machine gets through.
    for (let ended = 1; ended < 18; ended += 4) {
      const isThere = async () => (await bench.studies.show(id)).told >= ended;
      while ((await bench.studies.show(id)).record.state === 'running' && !(await isThere()))
        await bench.clock.sleep(5);
      await bench.studies.pause(id).catch((error: HildaError) => t.equal(error.code, 'STATE_CONFLICT'));
      if ((await bench.studies.show(id)).record.state !== 'paused') continue;
      pauses++;
      await bench.studies.resume(id);
    }
    await bench.studies.settled(id);
    t.ok(pauses > 0, `${pauses} pauses`);
    t.same(
      (await bench.store.trials(id)).map((x) => x.architectureId),
      unbroken,
      sampler,
    );
    await bench.close();
  }
});

t.test(
  'kill -9 at random moments: no told trial is lost, none runs twice, the proposals are those of an unbroken run',
  async (t) => {
    const spec = testSpec({ sampler: { name: 'linas' }, budget: { trials: 18 } });
    const unbroken = await proposals(await dataDir(t), spec);
    const dir = await dataDir(t);
    const child = new URL('./killed-child.js', import.meta.url).pathname;
    const told = new Set<number>();
    const finished = new Map<number, string>();
    for (let round = 0, done = false; !done && round < 30; round++) {
      done = await new Promise<boolean>((resolve, reject) => {
        const run = spawn(process.execPath, [child, dir, JSON.stringify(spec)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let lines = 0;
        let text = '';
        run.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          const parts = text.split('\n');
          text = parts.pop() ?? '';
          for (const line of parts) {
            const { number, state } = JSON.parse(line) as { number: number; state: string };
            const earlier = finished.get(number);
            if (earlier !== undefined) t.fail(`trial ${number} finished twice`);
            finished.set(number, state);
            told.add(number);
            // The moment of the kill moves with the round: inside asking, measuring, evaluating or telling.
            if (++lines >= 2 + (round % 4)) setTimeout(() => run.kill('SIGKILL'), round * 3);
          }
        });
        run.on('error', reject);
        run.on('close', (code) => resolve(code === 0));
      });
    }
    const bench = await openBench(dir);
    t.teardown(() => bench.close());
    const [study] = await bench.studies.list();
    const trials = await bench.store.trials(study!.id as StudyId);
    t.equal(study!.state, 'completed', study!.reason ?? '');
    t.same(
      trials.map((x) => x.architectureId),
      unbroken,
    );
    for (const number of told) t.not(trials[number]!.state, 'asked', `trial ${number} was acknowledged`);
    t.equal(new Set(trials.map((x) => x.architectureId)).size, 18);
  },
);

t.test('faults end trials, not the study: the network is blamed where it alone fails', async (t) => {
  const driver = new FailingDriver();
  const bench = await openBench(await dataDir(t), {}, () => [driver]);
  t.teardown(() => bench.close());
  // By the structure's first digit, each time that the network comes.
  const fates: readonly (readonly [string, ErrorCode, TrialRecord['state']])[] = [
    ['012', 'NETWORK_REJECTED', 'infeasible'],
    ['3', 'DEVICE_OUT_OF_MEMORY', 'infeasible'],
    ['45', 'DEVICE_TIMEOUT', 'infeasible'],
    ['67', 'DEVICE_FAILED', 'infeasible'],
    ['89a', 'MEASUREMENT_INVALID', 'failed'],
  ];
  const fateOf = (hash: string) => fates.find(([digits]) => digits.includes(hash.charAt(0)));
  driver.before = ({ hash, isReference }) => {
    const fate = isReference ? undefined : fateOf(hash);
    if (fate) throw new HildaError(fate[1], 'as it was told');
  };
  const { id } = await bench.studies.create(testSpec({ attempts: 1 }));
  await bench.studies.settled(id);
  t.equal((await bench.store.study(id)).state, 'completed');
  t.equal((await bench.store.device('fake-0' as DeviceId)).state, 'adopted');
  const space = loadSpace(JSON.parse(readFileSync(join(profilesDir, 'spaces/mbconv-fmnist.json'), 'utf8')));
  const states = new Set<string>();
  for (const { architecture, state, reason } of await bench.store.trials(id)) {
    const [, code, expected = 'complete'] = fateOf(structureHash(space.network(architecture))) ?? [];
    t.equal(state, expected, `${code}: ${reason}`);
    states.add(state);
  }
  t.equal(states.size, 3);
});

t.test('the quick start searches for the host and a Pico within what the Pico has', async (t) => {
  const text = readFileSync(join(profilesFolder, 'studies/quickstart.yaml'), 'utf8');
  const spec = parseStudySpec(parseYaml(text));
  t.same(spec.devices, ['cpu', 'emulated-rp2040-pico']);
  t.ok((spec.budget.maxMinutes ?? Number.POSITIVE_INFINITY) <= 3, 'it ends, however slow the machine');
  const limit = (metric: string) =>
    spec.constraints.find((one) => one.metric === `${metric}@${spec.devices[1]}`)?.max;
  const pico = loadBoardProfiles().get('rp2040-pico');
  t.equal(limit('peakRamBytes'), pico?.sramBytes);
  t.equal(limit('flashBytes'), pico?.flashBytes);
  const named = renameDevices(spec, ['cpu-f00', spec.devices[1]!]);
  t.same(named.devices[0], 'cpu-f00');
  t.same(named.objectives, spec.objectives, 'metrics of the first device are bare');
  const swapped = renameDevices(
    { ...spec, devices: ['a', 'b'], objectives: [{ metric: 'cycles@b', goal: 'min' }] },
    ['a-1', 'b-2'],
  );
  t.same(swapped.objectives, [{ metric: 'cycles@b-2', goal: 'min' }]);
});

t.test('time left keeps to the time that the budget allows', async (t) => {
  const minute = 60_000;
  const pace = { startedMs: 5000, nowMs: 5000 + minute, ended: 20, left: 40 };
  t.same(timeLeft({ ...pace, maxMinutes: undefined }), { etaMs: 2 * minute, reached: 40 });
  t.same(timeLeft({ ...pace, maxMinutes: 3 }), { etaMs: 2 * minute, reached: 40 }, 'just enough');
  t.same(timeLeft({ ...pace, maxMinutes: 2 }), { etaMs: minute, reached: 20 });
  t.same(timeLeft({ ...pace, maxMinutes: 0.5 }), { etaMs: 0, reached: 0 }, 'its last trials end late');
  t.same(timeLeft({ ...pace, ended: 0, maxMinutes: 2 }), { etaMs: null, reached: null }, 'no pace yet');
  t.same(timeLeft({ ...pace, left: 0, maxMinutes: 2 }), { etaMs: null, reached: null });
});

/** Each measurement takes this many seconds of a clock that only it moves. */
class TimedDriver extends FakeDriver {
  readonly clock = new ManualClock(1_000_000);

  override async open(...given: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...given);
    const measure = device.measure.bind(device);
    device.measure = async (network, protocol, options) => {
      const taken = await measure(network, protocol, options);
      await this.clock.advance(protocol.name === 'quick' ? 4000 : 10_000);
      return taken;
    };
    return device;
  }
}

t.test('a slow machine spends less on each trial, where the budget says so', async (t) => {
  const driver = new TimedDriver();
  const dir = await dataDir(t);
  const bench = await openBench(dir, {}, () => [driver]);
  t.teardown(() => bench.close());
  const { store, pool, jobs } = bench;
  const studies = new StudyService({ store, pool, jobs, clock: driver.clock, profilesDir });
  const run = async (budget: object) => {
    const { id } = await studies.create(
      await smallSpec(dir, { protocol: 'search', budget: { trials: 24, ...budget } }),
    );
    await studies.settled(id);
    const trials = await store.trials(id);
    const taken = await Promise.all(
      trials.map(async ({ measurements }) => store.measurement(measurements['fake-0' as DeviceId]!)),
    );
    return { ...(await store.study(id)), protocols: taken.map(({ protocol }) => protocol) };
  };
  const hasty = await run({ maxMinutes: 3, protocolWhenSlow: 'quick' });
  t.match(hasty, { state: 'completed', reason: null }, 'it reaches all trials');
  t.same(
    hasty.protocols,
    Array.from({ length: 24 }, (_, i) => (i < 6 ? 'search' : 'quick')),
    'a batch tells the pace; the next ones take less',
  );
  const patient = await run({ maxMinutes: 3 });
  t.match(patient.reason, /^its 3 minutes were over after 18 of 24 trials$/);
  t.same([...new Set(patient.protocols)], ['search']);
  const unhurried = await run({ maxMinutes: 30, protocolWhenSlow: 'quick' });
  t.same([...new Set(unhurried.protocols)], ['search'], 'there is time enough');
  for (const [budget, code] of [
    [{ trials: 24, protocolWhenSlow: 'quick' }, 'SPEC_INVALID'],
    [{ trials: 24, maxMinutes: 1, protocolWhenSlow: 'hasty' }, 'PROTOCOL_UNKNOWN'],
  ] as const)
    await t.rejects(studies.create(testSpec({ budget })), { code });
});

t.test('a study that ends before its last trial says why', async (t) => {
  const bench = await openBench(await dataDir(t));
  t.teardown(() => bench.close());
  const spec = testSpec({ budget: { trials: 500, maxMinutes: 1e-6 } });
  const { id } = await bench.studies.create(spec);
  await bench.studies.settled(id);
  const { state, reason } = await bench.store.study(id);
  t.equal(state, 'completed');
  t.match(reason, /^its 0\.000001 minutes were over after \d+ of 500 trials$/);
});

t.test('what can be refused is refused before the first trial', async (t) => {
  const bench = await openBench(await dataDir(t));
  t.teardown(() => bench.close());
  const refused: [object, string][] = [
    [testSpec({ devices: ['nowhere'] }), 'DEVICE_UNKNOWN'],
    [testSpec({ devices: ['fake_0'] }), 'DEVICE_UNKNOWN'],
    [testSpec({ sampler: { name: 'oracle' } }), 'SAMPLER_UNKNOWN'],
    [testSpec({ space: 'no-such-space' }), 'NOT_FOUND'],
    [testSpec({ space: { kind: 'mbconv', id: 'x' } }), 'SPACE_INVALID'],
    [testSpec({ protocol: 'no-such-protocol' }), 'PROTOCOL_UNKNOWN'],
    [testSpec({ objectives: [{ metric: 'latencyUs@elsewhere', goal: 'min' }] }), 'SPEC_INVALID'],
    [testSpec({ budget: { trials: 0 } }), 'SPEC_INVALID'],
    [{}, 'SPEC_INVALID'],
  ];
  for (const [spec, code] of refused) await t.rejects(bench.studies.create(spec), { code }, code);
  t.same(await bench.studies.list(), []);
  await t.rejects(bench.studies.show('none' as StudyId), { code: 'STUDY_UNKNOWN' });
  t.throws(() => parseStudySpec({ ...testSpec(), surprise: 1 }), { code: 'SPEC_INVALID' });
});

t.test('devices of one host take turns, those with processors of their own do not wait', async (t) => {
  t.equal(workersOf([null, null]), 2, 'two boards');
  t.equal(workersOf(['local', 'local']), 1, "this machine's CPU and a board that it emulates");
  t.equal(workersOf(['local', 'agent-1', 'agent-1', null]), 3);
  t.equal(workersOf([]), 0);
});
