import fc from 'fast-check';
import type { Test } from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import type {
  ArchitectureId,
  DeviceId,
  MeasurementId,
  PredictorId,
  SpecialisationId,
  StudyId,
} from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { type Lease, type Store, type TrialColumns, trialStates } from '../../daemon/store/contract.js';
import { runAlertContract } from './alert-contract.js';
import { runJobContract } from './job-contract.js';
import { runRetentionContract } from './retention-contract.js';
import { codeOf, deviceId, measurement, target } from './store-samples.js';

type Tap = Test;
type MakeStore = (clock: ManualClock) => Promise<Store>;

export { codeOf, deviceId, measurement, target };

const device = (id = 'fake-1') => ({ id: id as DeviceId, kind: 'fake', label: 'Fake', target });
const asked = (name: string) => ({
  architectureId: name as ArchitectureId,
  architecture: [1, 2],
  note: 'random',
  predicted: {},
});
const newStudy = { name: 'n', spec: { a: [1] }, sampler: null, rng: [1, 2, 3, 4] as const };

/** What every engine of the store must do. */
export function runStoreContract(t: Tap, makeStore: MakeStore): void {
  const withStore = (
    name: string,
    body: (t: Tap, store: Store, clock: ManualClock) => Promise<void>,
  ): void => {
    t.test(name, async (t) => {
      const clock = new ManualClock(1000);
      const store = await makeStore(clock);
      t.teardown(() => store.close());
      await body(t, store, clock);
    });
  };

  withStore('devices keep their state and first sight', async (t, store, clock) => {
    const first = await store.upsertDevice(device());
    t.match(first, { state: 'sighted', firstSeenMs: 1000, lastSeenMs: 1000, target });
    await store.setDeviceState(deviceId, 'adopted');
    await clock.advance(5);
    t.match(await store.upsertDevice({ ...device(), label: 'Renamed' }), {
      state: 'adopted',
      firstSeenMs: 1000,
      lastSeenMs: 1005,
      label: 'Renamed',
    });
    t.same(await store.devices(), [await store.device(deviceId)]);
    const other = 'none' as DeviceId;
    t.equal(await codeOf(store.device(other)), 'DEVICE_UNKNOWN');
    t.equal(await codeOf(store.setDeviceState(other, 'adopted')), 'DEVICE_UNKNOWN');
    t.equal(await codeOf(store.acquireLease(other, 'a', 1)), 'DEVICE_UNKNOWN');
  });

  withStore('many devices are seen at once; only news are told', async (t, store, clock) => {
    const many = Array.from({ length: 450 }, (_, i) => device(`many-${i}` as DeviceId));
    const first = await store.upsertDevices(many);
    t.same(
      first.map(({ id }) => id),
      many.map(({ id }) => id),
      'in this order',
    );
    t.equal((await store.events(0, { topics: ['devices'] })).length, 450);
    await store.setDeviceState('many-7' as DeviceId, 'adopted');
    await store.setDeviceTags('many-7' as DeviceId, ['a']);
    await clock.advance(5);
    const seq = await store.lastSeq();
    const again = await store.upsertDevices(
      many.map((one, i) => (i === 9 ? { ...one, label: 'Renamed', host: 'local' } : one)),
    );
    t.match(again[7], { state: 'adopted', tags: ['a'], firstSeenMs: 1000, lastSeenMs: 1005 });
    t.match(again[9], { label: 'Renamed', host: 'local' });
    t.same(
      (await store.events(seq)).map(({ data }) => (data as { device: { id: string } }).device.id),
      ['many-9'],
    );
    t.same(await store.upsertDevices([]), []);
    t.equal((await store.devices()).length, 450);
    const told = await store.publishAll([
      { topic: 'devices', data: 1 },
      { topic: 'jobs', data: 2 },
    ]);
    t.same(
      told.map(({ seq: at, data }) => [at - seq, data]),
      [
        [2, 1],
        [3, 2],
      ],
    );
    t.same(await store.publishAll([]), []);
  });

  withStore('a lease excludes, renews, runs out and fences', async (t, store, clock) => {
    await store.upsertDevice(device());
    const first = (await store.acquireLease(deviceId, 'host/a', 100))!;
    t.equal(await store.acquireLease(deviceId, 'host/b', 100), undefined);
    t.equal(
      (await store.acquireLease(deviceId, 'host/a', 100))?.token,
      first.token,
      'the same holder renews',
    );
    await clock.advance(100);
    t.same(await store.leases(), []);
    t.equal(await codeOf(store.renewLease(first, 100)), 'LEASE_STALE');
    const second = (await store.acquireLease(deviceId, 'host/b', 100))!;
    t.ok(second.token > first.token);
    t.equal(await codeOf(store.addMeasurement(measurement, { deviceId, lease: first })), 'LEASE_STALE');
    t.same(await store.measurements({}), [], 'a stale write leaves nothing');
    await store.releaseLease(first);
    t.same(await store.leases(), [second], 'a stale release frees nothing');
    t.equal(await store.expireLeases('other/'), 0);
    t.equal(await store.expireLeases('host/'), 1);
    t.ok((await store.acquireLease(deviceId, 'host/c', 1))!.token > second.token);
  });

  runJobContract(withStore);
  runAlertContract(withStore);
  runRetentionContract(withStore);

  withStore('predictors keep their body and tell of each change', async (t, store, clock) => {
    await store.upsertDevice(device());
    const draft = {
      deviceId,
      target,
      spaceId: 's',
      metric: 'latencyUs',
      body: { version: 1, samples: [1.5] },
    };
    const first = await store.addPredictor(draft);
    t.match(first, { ...draft, createdMs: 1000, updatedMs: 1000 });
    await clock.advance(7);
    const changed = await store.updatePredictor(first.id, { version: 2 });
    t.match(changed, { id: first.id, body: { version: 2 }, createdMs: 1000, updatedMs: 1007 });
    const second = await store.addPredictor(draft);
    t.same(await store.predictors(), [changed, second], 'oldest first');
    t.same(await store.predictor(first.id), changed);
    t.equal((await store.events(0, { topics: ['predictors'] })).length, 3);
    const none = 'predictor-99' as PredictorId;
    t.equal(await codeOf(store.predictor(none)), 'PREDICTOR_UNKNOWN');
    t.equal(await codeOf(store.updatePredictor(none, null)), 'PREDICTOR_UNKNOWN');
  });

  withStore('measurements come back as they were, newest first', async (t, store) => {
    await store.upsertDevice(device());
    const lease = (await store.acquireLease(deviceId, 'a', 1000))!;
    const study = await store.createStudy(newStudy);
    await store.askTrials(study.id, [asked('x')], { sampler: 1, rng: [4, 3, 2, 1] });
    const alone = await store.addMeasurement(measurement, { deviceId, lease });
    const inTrial = await store.addMeasurement(
      { ...measurement, structureHash: 'c' },
      { deviceId, lease, trial: { studyId: study.id, number: 0 } },
    );
    t.same(await store.measurement(alone.id), {
      ...measurement,
      id: alone.id,
      deviceId,
      studyId: null,
      trialNumber: null,
    });
    t.same(
      (await store.measurements({})).map((m) => [m.id, m.rounds.length]),
      [
        [inTrial.id, 0],
        [alone.id, 0],
      ],
    );
    t.same(
      (await store.measurements({ studyId: study.id })).map((m) => m.id),
      [inTrial.id],
    );
    t.same(
      (await store.measurements({ structureHash: measurement.structureHash })).map((m) => m.id),
      [alone.id],
    );
    t.same(
      (await store.measurements({ deviceId, limit: 1 })).map((m) => m.id),
      [inTrial.id],
    );
    t.same(
      (await store.measurements({ before: inTrial.id })).map((m) => m.id),
      [alone.id],
    );
    t.same(await store.measurements({ before: alone.id }), []);
    t.equal(await codeOf(store.measurements({ before: 'none' as MeasurementId })), 'NOT_FOUND');
    t.same(
      [
        await store.measurementCount({}),
        await store.measurementCount({ studyId: study.id, verdict: 'valid' }),
        await store.measurementCount({ verdict: 'noisy' }),
      ],
      [2, 1, 0],
    );
    t.same((await store.trials(study.id))[0]?.measurements, { [deviceId]: inTrial.id });
    t.equal(await codeOf(store.measurement('none' as MeasurementId)), 'NOT_FOUND');
    const infinite = {
      ...measurement,
      memory: { ...measurement.memory, peakBytes: Number.POSITIVE_INFINITY },
    };
    t.equal(
      await codeOf(store.addMeasurement(infinite, { deviceId, lease })),
      'INTERNAL',
      'no number turns into null',
    );
  });

  withStore('what is told from outside is kept once, all of a call or nothing', async (t, store) => {
    const { id } = await store.createStudy(newStudy);
    const after = { sampler: null, rng: [9, 9, 9, 9] } as const;
    await store.askTrials(id, [asked('x'), asked('y'), asked('z')], after);
    const tell = (
      results: { number: number; result: Json }[],
      steps: { number: number; step: number; value: number }[] = [],
    ) => store.tellOutside(id, { results, steps });
    const first = { number: 0, result: { values: { accuracy: 0.5, f1: 0.25 } } };
    const seq = await store.lastSeq();
    await tell([first], [{ number: 0, step: 1, value: 0.25 }]);
    t.same(
      (await store.events(seq)).map(({ data }) => data),
      [
        { type: 'steps', studyId: id, numbers: [0] },
        { type: 'result', studyId: id, numbers: [0] },
      ],
    );
    t.same((await store.trials(id))[0]?.result, first.result);
    const again = { number: 0, result: { values: { f1: 0.25, accuracy: 0.5 } } };
    await tell([again], [{ number: 0, step: 1, value: 0.25 }]);
    t.equal(await store.lastSeq(), seq + 2, 'what is equal is no news, for any order of fields');

    const offered = { values: { accuracy: 0.75, f1: 0.25 } };
    await t.rejects(
      tell([
        { number: 1, result: offered },
        { number: 0, result: offered },
      ]),
      {
        code: 'RESULT_CONFLICT',
        message: /trial 0 .*0\.5.*, not .*0\.75/,
        details: { number: 0, stored: first.result, offered },
      },
    );
    t.equal((await store.trials(id))[1]?.result, null, 'nothing of a refused call is kept');
    const twice = [
      { number: 1, result: 1 },
      { number: 1, result: 2 },
    ];
    await t.rejects(tell(twice), { code: 'RESULT_CONFLICT', details: { stored: 1, offered: 2 } });
    await t.rejects(tell([{ number: 7, result: offered }]), { code: 'NOT_FOUND', details: { number: 7 } });

    await tell(
      [],
      [
        { number: 1, step: 3, value: 0.5 },
        { number: 1, step: 1, value: 0.125 },
      ],
    );
    await t.rejects(tell([{ number: 1, result: offered }], [{ number: 1, step: 3, value: 0.75 }]), {
      code: 'RESULT_CONFLICT',
      details: { number: 1, step: 3, stored: 0.5, offered: 0.75 },
    });
    const late = [{ number: 0, step: 2, value: 0.5 }];
    t.equal(await codeOf(tell([], late)), 'STATE_CONFLICT', 'a trial with a result takes no other step');
    const one = { step: 1, value: 0.125 };
    t.same(
      [...(await store.steps(id, [0, 1, 2, 77]))],
      [
        [0, [{ step: 1, value: 0.25 }]],
        [1, [one, { step: 3, value: 0.5 }]],
      ],
    );
    await store.finishTrial({ studyId: id, number: 2, state: 'infeasible', values: {}, reason: 'too slow' });
    t.equal(await codeOf(tell([{ number: 2, result: offered }])), 'STATE_CONFLICT', 'it ended without one');
    await tell([{ number: 1, result: offered }]);
    await store.finishTrial({ studyId: id, number: 1, state: 'complete', values: {}, reason: null });
    await tell([{ number: 1, result: offered }, first], [{ number: 1, ...one }]);
    t.equal(
      await codeOf(store.tellOutside('study-77' as StudyId, { results: [], steps: [] })),
      'STUDY_UNKNOWN',
    );
  });

  withStore('trials are asked, finished once, told once', async (t, store) => {
    const study = await store.createStudy(newStudy);
    t.same(await store.study(study.id), study);
    const { id } = study;
    t.same(
      (await store.askTrials(id, [asked('x'), asked('y')], { sampler: { n: 2 }, rng: [9, 9, 9, 9] })).map(
        (r) => r.number,
      ),
      [0, 1],
    );
    t.same(
      (await store.askTrials(id, [asked('z')], { sampler: { n: 3 }, rng: [8, 8, 8, 8] })).map(
        (r) => r.number,
      ),
      [2],
    );
    t.match(await store.study(id), { sampler: { n: 3 }, rng: [8, 8, 8, 8] });
    const result = {
      studyId: id,
      number: 1,
      state: 'complete' as const,
      values: { latencyUs: 1.5 },
      evidence: { accuracy: { ci: [0.1, 0.9] as const, images: 9, compared: null, source: 'a count' } },
      answers: { accuracy: { set: 'nine', right: Uint8Array.of(1, 0, 0, 1, 1, 1, 0, 0, 1) } },
      reason: null,
    };
    t.equal(await codeOf(store.tellTrials(id, [1], 'early')), 'STATE_CONFLICT');
    t.match(await store.finishTrial(result), {
      state: 'complete',
      told: false,
      values: { latencyUs: 1.5 },
      evidence: result.evidence,
      finishedMs: 1000,
    });
    t.same(
      [...(await store.answers(id, [0, 1, 77]))],
      [
        [0, {}],
        [1, result.answers],
      ],
    );
    t.equal(await codeOf(store.answers('study-77' as StudyId, [0])), 'STUDY_UNKNOWN');
    t.equal(await codeOf(store.finishTrial({ ...result, state: 'failed' })), 'STATE_CONFLICT');
    await store.upsertDevice(device());
    const lease = (await store.acquireLease(deviceId, 'a', 1000))!;
    const late = store.addMeasurement(measurement, { deviceId, lease, trial: { studyId: id, number: 1 } });
    t.equal(await codeOf(late), 'STATE_CONFLICT', 'a finished trial takes no measurement');
    t.same(await store.measurements({}), []);
    t.equal(await codeOf(store.tellTrials(id, [1, 0], 'half')), 'STATE_CONFLICT');
    t.equal((await store.trials(id))[1]?.told, false, 'all or nothing');
    t.equal(
      await codeOf(store.reviseTrial(result)),
      'STATE_CONFLICT',
      'nor is it revised before it was told',
    );
    await store.tellTrials(id, [1], { told: 1 });
    t.equal(await codeOf(store.tellTrials(id, [1], 'twice')), 'STATE_CONFLICT');
    t.same((await store.study(id)).sampler, { told: 1 });
    t.same(
      (await store.trials(id, { fromNumber: 1, limit: 1 })).map((r) => [r.number, r.told]),
      [[1, true]],
    );
    t.same(
      (await store.trials(id, { states: ['complete', 'failed'] })).map((r) => r.number),
      [1],
    );
    t.same(await store.trials(id, { states: ['complete'], fromNumber: 2 }), []);
    const { architectureId } = (await store.trials(id))[0]!;
    t.same(
      (await store.trials(id, { architectureId })).map((r) => r.number),
      [0],
    );
    t.same(
      [
        await store.trialCount(id),
        await store.trialCount(id, { states: ['asked', 'complete'] }),
        await store.trialCount(id, { states: ['asked'], architectureId }),
        await store.trialCount(id, { states: [] }),
      ],
      [(await store.trials(id)).length, (await store.trials(id)).length, 1, 0],
    );
    t.equal(await codeOf(store.trialCount('none' as StudyId)), 'STUDY_UNKNOWN');
    const trial = { studyId: id, number: 1, late: true };
    const noisy = { ...measurement, verdict: 'noisy' as const };
    const unsteady = await store.addMeasurement(noisy, { deviceId, lease, trial });
    t.match(unsteady, { studyId: id, trialNumber: 1 });
    t.same((await store.trials(id))[1]?.measurements, {}, 'an invalid one says nothing of it');
    const taken = await store.addMeasurement(measurement, { deviceId, lease, trial });
    t.same((await store.trials(id))[1]?.measurements, { [deviceId]: taken.id });
    const seq = await store.lastSeq();
    const revised = {
      ...result,
      state: 'infeasible' as const,
      values: { latencyUs: 1.5, cycles: 9 },
      reason: 'late',
    };
    const { studyId: _, evidence, answers, ...now } = revised;
    const onBoard = { set: 'nine', right: Uint8Array.of(1, 1) };
    t.match(await store.reviseTrial({ studyId: id, ...now, answers: { 'accuracy@pico': onBoard } }), {
      ...now,
      evidence,
      told: true,
      finishedMs: 1000,
    });
    t.same(
      (await store.answers(id, [1])).get(1),
      { ...answers, 'accuracy@pico': onBoard },
      'what is not said again stays',
    );
    t.match(await store.events(seq), [{ topic: `study.${id}`, data: { type: 'trial', ...now } }]);
    t.equal(await codeOf(store.reviseTrial(result)), 'STATE_CONFLICT', 'an infeasible one is final');
    t.equal(await codeOf(store.addMeasurement(measurement, { deviceId, lease, trial })), 'STATE_CONFLICT');
    t.equal(await codeOf(store.reviseTrial({ ...result, number: 0 })), 'STATE_CONFLICT', 'it has no result');
    t.match(await store.setStudyState(id, 'failed', 'why'), { state: 'failed', reason: 'why' });
    t.equal((await store.studies()).length, 1);
    const none = 'none' as StudyId;
    t.equal(await codeOf(store.study(none)), 'STUDY_UNKNOWN');
    t.equal(await codeOf(store.trials(none)), 'STUDY_UNKNOWN');
    t.equal(await codeOf(store.finishTrial({ ...result, studyId: none })), 'STUDY_UNKNOWN');
    t.equal(await codeOf(store.finishTrial({ ...result, number: 77 })), 'NOT_FOUND');
  });

  withStore('columns are what the trials are, and told ones are read once', async (t, store) => {
    const { id } = await store.createStudy(newStudy);
    const after = { sampler: null, rng: newStudy.rng };
    t.same(await store.trialColumns(id), []);
    const count = 600;
    await store.askTrials(
      id,
      Array.from({ length: count }, (_, i) => asked(`a${i}`)),
      after,
    );
    const requireSame = async (): Promise<readonly TrialColumns[]> => {
      const pieces = await store.trialColumns(id);
      const told = pieces.flatMap(({ from, length, states, told, values }) =>
        Array.from({ length }, (_, i) => ({
          number: from + i,
          state: trialStates[states[i] as number],
          told: told[i] === 1,
          values: Object.fromEntries(
            [...values].flatMap(([metric, column]) =>
              Number.isNaN(column[i]) ? [] : [[metric, column[i] as number]],
            ),
          ),
        })),
      );
      const trials = await store.trials(id);
      t.same(
        told,
        trials.map(({ number, state, told, values }) => ({ number, state, told, values })),
      );
      return pieces;
    };
    const finish = async (from: number, to: number): Promise<void> => {
      for (let number = from; number < to; number++) {
        const state = number % 7 === 3 ? 'failed' : 'complete';
        const values =
          state === 'failed' ? {} : { macs: number, ...(number > 300 && { 'latencyUs@b': number / 3 }) };
        await store.finishTrial({ studyId: id, number, state, values, reason: null });
      }
    };
    const tell = (from: number, to: number): Promise<void> =>
      store.tellTrials(
        id,
        Array.from({ length: to - from }, (_, i) => from + i),
        null,
      );
    await requireSame();
    await finish(0, 300);
    await requireSame();
    await tell(1, 260);
    t.equal((await requireSame()).length, 1, 'the first trial is not told: nothing is sealed');
    await tell(0, 1);
    const [first] = await requireSame();
    t.equal((await store.trialColumns(id))[0], first, 'the same piece as before');
    const { seal: one } = await store.trialsSince(id, null);
    t.equal(one.pieces, 1);
    await finish(300, count);
    await tell(260, count);
    const [again, second, ...open] = await requireSame();
    const { seal, sealed, isWhole, open: left } = await store.trialsSince(id, one);
    t.same([seal.pieces, isWhole, sealed.map(({ from }) => from), left?.from], [2, false, [256], 512]);
    t.same(sealed[0], second);
    t.same((await store.trialsSince(id, seal)).sealed, [], 'nothing is new');
    t.equal(again, first);
    t.equal(open.length, 1);
    await store.reviseTrial({
      studyId: id,
      number: 259,
      state: 'infeasible',
      values: { 'cycles@b': 5 },
      reason: 'late',
    });
    await store.reviseTrial({
      studyId: id,
      number: 599,
      state: 'complete',
      values: { macs: 1 },
      reason: null,
    });
    const since = await store.trialsSince(id, seal);
    t.match(since, { isWhole: true, seal: { pieces: 2 } }, 'one before the seal was revised');
    t.equal(since.sealed.length, 2);
    const [untouched, revised] = await requireSame();
    t.equal(untouched, first, 'only the piece that changed is another one');
    t.not(revised, second);
    t.same(
      (await store.trials(id, { numbers: [599, 3, 77_777] })).map(({ number }) => number),
      [3, 599],
    );
    t.same(await store.trialColumns('none' as StudyId), []);
  });

  withStore('a specialisation has each of its studies once, and tells of them', async (t, store) => {
    const { id, ...rest } = await store.addSpecialisation({ name: 'two', body: { slack: 0.01 } });
    t.match(rest, { name: 'two', state: 'running', reason: null, body: { slack: 0.01 }, createdMs: 1000 });
    const part = { specialisationId: id, deviceId, role: 'search' } as const;
    const study = await store.createStudy({ ...newStudy, part });
    t.same(study.part, part);
    t.same((await store.study(study.id)).part, part);
    const before = await store.lastSeq();
    t.equal(await codeOf(store.createStudy({ ...newStudy, part })), 'STATE_CONFLICT');
    t.equal((await store.studies()).length, 1, 'a refused one leaves nothing');
    t.equal(await store.lastSeq(), before);
    const other = await store.createStudy({ ...newStudy, part: { ...part, role: 'finals' } });
    const { id: second } = await store.addSpecialisation({ name: 'another', body: null });
    await store.createStudy({ ...newStudy, part: { ...part, specialisationId: second } });
    t.equal((await store.createStudy(newStudy)).part, null);
    await store.setStudyState(study.id, 'completed');
    t.same(await store.studiesOf(id), [
      { ...part, id: study.id, state: 'completed' },
      { ...part, role: 'finals', id: other.id, state: 'running' },
    ]);
    t.match(await store.setSpecialisationState(id, 'failed', 'why'), { id, state: 'failed', reason: 'why' });
    t.match(await store.specialisation(id), { state: 'failed', reason: 'why' });
    t.same(
      (await store.specialisations()).map((one) => one.id),
      [id, second],
      'oldest first',
    );
    const told = await store.events(0, { topics: [`specialisation.${id}`] });
    t.match(
      told.map(({ data }) => data),
      [
        { type: 'state', state: 'running' },
        { type: 'study', studyId: study.id, role: 'search' },
        { type: 'study', studyId: other.id, role: 'finals' },
        { type: 'state', state: 'failed', reason: 'why' },
      ],
    );
    const none = 'specialisation-99' as SpecialisationId;
    t.equal(await codeOf(store.specialisation(none)), 'NOT_FOUND');
    t.equal(await codeOf(store.setSpecialisationState(none, 'paused')), 'NOT_FOUND');
    t.same(await store.studiesOf(none), []);
  });

  withStore('events have no gaps and resume', async (t, store) => {
    let hints = 0;
    const stop = store.onEvents(() => hints++);
    const study = await store.createStudy(newStudy);
    await codeOf(
      store.finishTrial({ studyId: study.id, number: 5, state: 'failed', values: {}, reason: '' }),
    );
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.publish(i % 2 ? 'a.b' : 'a%b', { i })));
    stop();
    await store.publish('a', null);
    t.equal(hints, 21, 'one hint a commit');
    const all = await store.events(0);
    t.same(
      all.map((e) => e.seq),
      Array.from({ length: 22 }, (_, i) => i + 1),
    );
    t.equal(await store.lastSeq(), 22);
    t.same(await store.events(20), all.slice(20));
    t.same((await store.events(0, { topics: ['a.*'] })).length, 10);
    t.same((await store.events(5, { topics: ['a.*', 'a'], limit: 3 })).length, 3);
    t.same((await store.events(0, { topics: ['study.*'] }))[0]?.topic, `study.${study.id}`);
    t.same(await store.events(0, { topics: [] }), []);
  });

  withStore('values by key', async (t, store) => {
    t.equal(await store.value('k'), undefined);
    await store.setValue('k', { a: [1, null] });
    await store.setValue('k', { b: 2 });
    t.same(await store.value('k'), { b: 2 });
    await store.close();
    await store.close();
    t.equal(await codeOf(store.value('k')), 'INTERRUPTED');
  });

  withStore('closing waits for what is under way', async (t, store) => {
    const work = Array.from({ length: 40 }, (_, i) => [
      store.setValue(`k${i % 7}`, { i }),
      store.value(`k${i % 7}`),
      store.publish('a', { i }),
    ]).flat();
    const settled = Promise.allSettled(work);
    await store.close();
    for (const one of await settled)
      if (one.status === 'rejected') t.equal(one.reason.code, 'INTERRUPTED', 'not begun before the end');
  });

  withStore('never two holders, in any order', async (t, store, clock) => {
    let runs = 0;
    const holder = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ do: fc.constant('acquire' as const), holder, ttlMs: fc.integer({ min: 1, max: 20 }) }),
      fc.record({
        do: fc.constantFrom('renew' as const, 'release' as const, 'write' as const),
        pick: fc.nat(30),
      }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 15 }) }),
      fc.record({ do: fc.constant('expire' as const) }),
    );
    const law = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const id = `device-${runs++}` as DeviceId;
      await store.upsertDevice(device(id));
      const given: Lease[] = [];
      let live: { holder: string; token: number; expiresMs: number } | undefined;
      let lastToken = 0;
      for (const action of steps) {
        if (live && live.expiresMs <= clock.nowMs()) live = undefined;
        if (action.do === 'wait') await clock.advance(action.ms);
        else if (action.do === 'expire') await store.expireLeases();
        else if (action.do === 'acquire') {
          const lease = await store.acquireLease(id, action.holder, action.ttlMs);
          if ((lease === undefined) !== (live !== undefined && live.holder !== action.holder)) return false;
          if (!lease) continue;
          if (live ? lease.token !== live.token : lease.token <= lastToken) return false;
          lastToken = lease.token;
          live = { ...lease };
          given.push(lease);
        } else {
          const lease = given[action.pick % Math.max(1, given.length)];
          if (!lease) continue;
          const valid = live?.token === lease.token;
          if (action.do === 'release') {
            await store.releaseLease(lease);
            if (valid) live = undefined;
          } else if (action.do === 'renew') {
            if ((await codeOf(store.renewLease(lease, 10))) !== (valid ? undefined : 'LEASE_STALE'))
              return false;
            if (valid) live = { ...live!, expiresMs: clock.nowMs() + 10 };
          } else if (
            (await codeOf(store.addMeasurement(measurement, { deviceId: id, lease }))) !==
            (valid ? undefined : 'LEASE_STALE')
          )
            return false;
        }
        const shown = (await store.leases()).filter((l) => l.deviceId === id);
        const alive = live && live.expiresMs > clock.nowMs() ? [live.token] : [];
        if (JSON.stringify(shown.map((l) => l.token)) !== JSON.stringify(alive)) return false;
      }
      return true;
    });
    await fc.assert(law, { numRuns: 40, seed: 7 });
    t.ok(runs >= 40);
  });
}
