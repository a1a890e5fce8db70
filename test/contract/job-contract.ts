import type { Test } from 'tap';
import type { ManualClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { ArchitectureId, DeviceId, JobId } from '../../daemon/core/ids.js';
import type { Store } from '../../daemon/store/contract.js';
import type { Claim, Claimed, Ended, JobEnd, NewJob } from '../../daemon/store/job-contract.js';
import { codeOf, deviceId, measurement, target } from './store-samples.js';

export type WithStore = (
  name: string,
  body: (t: Test, store: Store, clock: ManualClock) => Promise<void>,
) => void;

export const newJob = (changes: Partial<NewJob> = {}): NewJob => ({
  work: { kind: 'measure' },
  network: { model: 'a' },
  inputs: null,
  devices: { device: deviceId },
  priority: 0,
  share: 'people',
  owner: { kind: 'person' },
  attached: false,
  runAtMs: null,
  deadlineMs: null,
  maxAttempts: 2,
  idempotencyKey: null,
  requestHash: null,
  ...changes,
});

const codes = (answers: readonly unknown[]): unknown[] =>
  answers.map((one) => (one instanceof HildaError ? one.code : typeof one === 'string' ? one : 'ok'));

const held = (claimed: Claimed | undefined): Exclude<Claimed, string> => {
  if (claimed === undefined || typeof claimed === 'string') throw new Error(`not claimed: ${claimed}`);
  return claimed;
};

const stored = (ended: Ended | HildaError | undefined): Ended => {
  if (ended === undefined || ended instanceof HildaError) throw ended ?? new Error('nothing ended');
  return ended;
};

/** What every engine does with jobs. */
export function runJobContract(withStore: WithStore): void {
  const other = 'fake-2' as DeviceId;
  const open = async (store: Store): Promise<void> => {
    for (const id of [deviceId, other]) await store.upsertDevice({ id, kind: 'fake', label: 'Fake', target });
  };
  const submit = async (store: Store, ...jobs: readonly Partial<NewJob>[]): Promise<JobId[]> =>
    (await store.turnJobs({ jobs: jobs.map(newJob) }, 0)).submitted.map((job) => {
      if (job instanceof HildaError) throw job;
      return job.id;
    });
  const claimAll = async (store: Store, claims: readonly Claim[], ttlMs = 100) =>
    (await store.turnJobs({ claims }, ttlMs)).claimed;
  const endAll = async (store: Store, ends: readonly JobEnd[]) => (await store.turnJobs({ ends }, 100)).ended;
  const claim = async (store: Store, job: JobId, device = deviceId, ttlMs = 100) =>
    (await claimAll(store, [{ job, deviceId: device, holder: 'host/people' }], ttlMs))[0];

  withStore('jobs are claimed with a lease and end with what they yield', async (t, store, clock) => {
    await open(store);
    const [a, b, c] = (await submit(store, {}, {}, {})) as [JobId, JobId, JobId];
    const answers = await claimAll(
      store,
      [
        { job: a, deviceId, holder: 'host/people' },
        { job: b, deviceId: other, holder: 'host/people' },
      ],
      100,
    );
    const { job, lease } = held(answers[0]);
    t.match(job, { id: a, state: 'running', attempt: 1, deviceId, token: lease.token, startedMs: 1000 });
    t.equal((await store.leases()).length, 2);
    t.equal(await claim(store, c), 'taken');
    await clock.advance(7);
    const [ended] = await endAll(store, [
      {
        job: a,
        lease,
        state: 'done',
        result: { extra: 1 },
        error: null,
        measurement: { taken: measurement },
      },
    ]);
    const { job: done, measurement: record } = stored(ended);
    t.match(done, { state: 'done', result: { extra: 1, measurementId: record?.id }, endedMs: 1007 });
    t.match(await store.measurement(record?.id as never), {
      deviceId,
      studyId: null,
      rounds: measurement.rounds,
    });
    t.same(
      (await store.leases()).map((one) => one.deviceId),
      [other],
    );
    t.equal(await claim(store, a), 'closed', 'what is done is not done again');
    t.equal((await store.leases()).length, 1, 'and holds no device');
    t.ok(held(await claim(store, c)).lease.token > lease.token);
    const told = (await store.events(0, { topics: ['jobs'] })).map(
      ({ data }) => `${(data as { id: string }).id} ${(data as { state: string }).state}`,
    );
    t.same(told, [
      'j1 queued',
      'j2 queued',
      'j3 queued',
      'j1 running',
      'j2 running',
      'j1 done',
      'j3 running',
    ]);
    t.match(
      (await store.jobs({ states: ['running'] })).map(({ id }) => id),
      [c, b],
    );
    t.match(
      (await store.jobs({ before: b })).map(({ id }) => id),
      [a],
    );
    t.equal(await store.jobCount({ deviceId }), 2);
    t.equal(await codeOf(store.job('j99' as JobId)), 'NOT_FOUND');
    t.equal(await codeOf(store.job('99; DROP' as JobId)), 'NOT_FOUND');
  });

  withStore('a device goes from one job to the next in one turn', async (t, store, clock) => {
    await open(store);
    const [a, b] = (await submit(store, {}, {})) as [JobId, JobId];
    const { lease } = held(await claim(store, a));
    const workEndedMs = clock.nowMs() + 50;
    await clock.advance(5000);
    const end = { job: a, lease, state: 'done' as const, result: null, error: null, workEndedMs };
    const next = { job: b, deviceId, holder: 'host/people' };
    const { ended, claimed } = await store.turnJobs({ ends: [end], claims: [next] }, 100);
    t.match(stored(ended[0]).job, { id: a, state: 'done' }, 'the lease lived when the work ended');
    const second = held(claimed[0]);
    t.match(second, { job: { id: b, state: 'running' }, device: { id: deviceId, state: 'sighted' } });
    t.ok(second.lease.token > lease.token);
    await clock.advance(200);
    const late = { ...end, job: b, lease: second.lease, workEndedMs: clock.nowMs() };
    t.same(codes(await endAll(store, [late])), ['LEASE_STALE']);
    const told = await store.events(0, { topics: ['devices'] });
    t.same(
      told.flatMap(({ data }) => {
        const { type } = data as { readonly type: string };
        return type === 'leased' || type === 'freed' ? [type] : [];
      }),
      ['leased', 'freed', 'leased', 'freed'],
    );
  });

  withStore('a result is stored once, under a live lease', async (t, store, clock) => {
    await open(store);
    const [id] = (await submit(store, {})) as [JobId];
    const { lease } = held(await claim(store, id));
    const end = {
      job: id,
      lease,
      state: 'done' as const,
      result: null,
      error: null,
      measurement: { taken: measurement },
      values: { key: 'kept' },
    };
    await clock.advance(100);
    t.same(codes(await endAll(store, [end])), ['LEASE_STALE']);
    t.equal(await store.requeueLostJobs(), 1);
    const again = held(await claim(store, id));
    t.equal(again.job.attempt, 2);
    t.same(codes(await endAll(store, [end])), ['LEASE_STALE'], 'the first attempt comes late');
    t.same([await store.measurements({}), await store.value('key')], [[], undefined]);
    const last = { ...end, lease: again.lease };
    t.same(codes(await endAll(store, [last])), ['ok']);
    t.same(codes(await endAll(store, [last])), ['LEASE_STALE'], 'told twice');
    t.equal((await store.measurements({})).length, 1);
    t.equal(await store.value('key'), 'kept');
    t.equal(await store.requeueLostJobs(), 0);
    await store.acquireLease(deviceId, 'lease:anna', 100);
    t.equal(await store.renewLeases('host/', 500), 0);
    t.equal(await store.renewLeases('lease:', 500), 1);
    await clock.advance(400);
    t.equal((await store.leases()).length, 1);
  });

  withStore('an attempt may end queued; its failure needs no live lease', async (t, store, clock) => {
    await open(store);
    const [id] = (await submit(store, {})) as [JobId];
    const first = held(await claim(store, id));
    const [ended] = await endAll(store, [
      {
        job: id,
        lease: first.lease,
        state: 'queued',
        result: null,
        error: { code: 'DEVICE_FAILED' },
        measurement: { taken: { ...measurement, verdict: 'noisy' } },
      },
    ]);
    t.match(stored(ended).job, {
      state: 'queued',
      error: { code: 'DEVICE_FAILED' },
      result: { measurementId: 'm1' },
    });
    const second = held(await claim(store, id));
    await clock.advance(100);
    const failed = {
      job: id,
      lease: second.lease,
      state: 'failed' as const,
      result: null,
      error: { code: 'X' },
    };
    t.match(stored((await endAll(store, [failed]))[0]).job, {
      state: 'failed',
      result: { measurementId: 'm1' },
    });
    t.match(await store.reviveJob(id), { state: 'queued', attempt: 0, error: null, result: null });
    t.equal(await codeOf(store.reviveJob(id)), 'STATE_CONFLICT');
    t.match(await store.closeJobs([id], 'cancelled', { code: 'INTERRUPTED' }), [{ state: 'cancelled' }]);
    t.same(await store.closeJobs([id], 'cancelled', {}), []);
    t.equal(await claim(store, id), 'closed');
  });

  withStore('one of a batch that is refused leaves the others alone', async (t, store) => {
    await open(store);
    const spec = { name: 'n', spec: {}, sampler: null, rng: [1, 2, 3, 4] as const };
    const study = await store.createStudy(spec);
    const trial = { studyId: study.id, number: 0 };
    const asked = { architectureId: 'x' as ArchitectureId, architecture: [1], note: '', predicted: {} };
    await store.askTrials(study.id, [asked], { sampler: null, rng: spec.rng });
    const [a, b] = (await submit(store, {}, {})) as [JobId, JobId];
    const [first, second] = [held(await claim(store, a)), held(await claim(store, b, other))];
    const end = ({ job, lease }: typeof first, number: number) => ({
      job: job.id,
      lease,
      state: 'done' as const,
      result: null,
      error: null,
      measurement: { taken: measurement, trial: { studyId: study.id, number } },
    });
    t.same(codes(await endAll(store, [end(first, 7), end(second, 0)])), ['NOT_FOUND', 'ok']);
    t.match(await store.job(a), { state: 'failed', error: { code: 'NOT_FOUND' } });
    t.match((await store.trials(study.id))[0]?.measurements, { [other]: 'm1' });
    t.match(await store.measurements({}), [{ id: 'm1', trialNumber: trial.number, studyId: study.id }]);
    t.same(await store.leases(), []);
  });

  withStore('a key asks once; ended jobs are forgotten in time', async (t, store) => {
    await open(store);
    const keyed = { idempotencyKey: 'k', requestHash: 'h' };
    const [first] = (await submit(store, keyed)) as [JobId];
    t.same(await submit(store, {}, keyed, { idempotencyKey: 'k2', requestHash: 'h' }), ['j2', first, 'j3']);
    const twice = { idempotencyKey: 'k3', requestHash: 'h' };
    t.equal(new Set(await submit(store, twice, twice)).size, 1, 'twice in one batch');
    const { submitted } = await store.turnJobs({ jobs: [newJob({ ...keyed, requestHash: 'other' })] }, 0);
    t.same(codes(submitted), ['IDEMPOTENCY_CONFLICT']);
    const queued = await store.queuedJobs();
    t.equal(queued.length, 4);
    await store.closeJobs(
      queued.slice(0, 3).map(({ id }) => id),
      'cancelled',
      {},
    );
    t.equal(await store.forgetJobs(1), 2);
    t.equal(await store.forgetJobs(1), 0);
    t.match((await store.jobs({})).map(({ state }) => state).sort(), ['cancelled', 'queued']);
  });
}
