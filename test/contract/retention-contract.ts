import type { DeviceId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { newJob, type WithStore } from './job-contract.js';
import { measurement, target } from './store-samples.js';

const dayMs = 24 * 3600 * 1000;
const named = (id: string) => ({ id: id as DeviceId, kind: 'fake', label: id, target });

/** What every engine forgets, and what it never does. */
export function runRetentionContract(withStore: WithStore): void {
  withStore('the oldest events go, by age and by number; counting goes on', async (t, store, clock) => {
    const seqs = async (): Promise<number[]> => (await store.events(0)).map(({ seq }) => seq);
    t.same(await store.oldEvents({ beforeMs: 1e15, most: 1 }), { count: 0, upToSeq: 0, kept: 0 });
    t.equal(await store.firstSeq(), 1);
    for (let i = 0; i < 6; i++) {
      await store.publish('devices', i);
      await clock.advance(dayMs);
    }
    const nowMs = clock.nowMs();
    t.same(await store.oldEvents({ beforeMs: nowMs - 4 * dayMs, most: 100 }), {
      count: 2,
      upToSeq: 2,
      kept: 4,
    });
    t.match(await store.oldEvents({ beforeMs: 0, most: 100 }), { count: 0, kept: 6 });
    t.match(await store.oldEvents({ beforeMs: 0, most: 1 }), { count: 5, upToSeq: 5, kept: 1 });
    t.equal(await store.forgetEvents(2, 1), 1, 'in pieces');
    t.same([await store.firstSeq(), ...(await seqs())], [2, 2, 3, 4, 5, 6]);
    t.equal(await store.forgetEvents(2, 100), 1);
    t.equal(await store.forgetEvents(2, 100), 0);
    t.same(await seqs(), [3, 4, 5, 6]);
    t.equal(await store.forgetEvents(6, 100), 4);
    t.same([await store.firstSeq(), await store.lastSeq()], [7, 6]);
    t.equal((await store.publish('devices', 'again')).seq, 7);
  });

  withStore('a clock that stepped back lets no young event go', async (t, store, clock) => {
    await store.publish('devices', 'young');
    const beforeMs = clock.nowMs();
    t.same((await store.oldEvents({ beforeMs, most: 100 })).count, 0);
    await clock.advance(10);
    await store.publish('devices', 'younger');
    t.same(await store.oldEvents({ beforeMs: beforeMs + 5, most: 100 }), { count: 1, upToSeq: 1, kept: 1 });
  });

  withStore('a device goes only where nothing names it', async (t, store, clock) => {
    const kept: Record<string, (id: DeviceId) => Promise<unknown>> = {
      measured: async (deviceId) => {
        const lease = await store.acquireLease(deviceId, 'test', 10);
        if (!lease) throw new Error('no lease');
        await store.addMeasurement(measurement, { deviceId, lease });
        await store.releaseLease(lease);
      },
      leased: (id) => store.acquireLease(id, 'test', 1e12),
      held: async (id) => {
        const lease = await store.acquireLease(id, 'test', 10);
        if (lease) await store.releaseLease(lease);
      },
      ignored: (id) => store.setDeviceState(id, 'ignored'),
      quarantined: (id) => store.setDeviceState(id, 'quarantined', 'it failed'),
      tagged: (id) => store.setDeviceTags(id, ['shelf=1']),
      searched: (id) =>
        store.createStudy({ name: 'n', spec: { devices: [id] }, sampler: null, rng: [1, 2, 3, 4] }),
      specialised: (id) => store.addSpecialisation({ name: 'n', body: { devices: { [id]: 1 } } }),
      predicted: (deviceId) =>
        store.addPredictor({ deviceId, target, spaceId: 's', metric: 'latencyUs', body: {} }),
      calibrated: (id) => store.setValue(`calibration ${id}`, { at: 1 } as Json),
      compared: (id) => store.setValue('equivalence', { pairs: [[id, 'other']] } as Json),
      asked: (id) => store.turnJobs({ jobs: [newJob({ devices: { device: id } })] }, 0),
    };
    for (const [why, use] of Object.entries(kept)) {
      await store.upsertDevice(named(`${why}-1`));
      await use(`${why}-1` as DeviceId);
    }
    for (const id of ['sighted-1', 'adopted-1', 'sighted-2']) await store.upsertDevice(named(id));
    await store.setDeviceState('adopted-1' as DeviceId, 'adopted');
    await clock.advance(dayMs);
    const beforeMs = clock.nowMs();
    await store.upsertDevice(named('seen-1'));
    const page = (after: string | null, most: number) =>
      store.unusedDevices({ beforeMs, after: after as DeviceId | null, most });
    t.same(await page(null, 10), ['adopted-1', 'sighted-1', 'sighted-2']);
    t.same(await page('adopted-1', 1), ['sighted-1']);
    const all = (await store.devices()).map(({ id }) => id);
    const lastSeq = await store.lastSeq();
    const gone = await store.forgetDevices(all, beforeMs);
    t.same(gone, ['adopted-1', 'sighted-1', 'sighted-2'], 'of all that are asked for');
    t.same(
      (await store.devices()).map(({ id }) => id).sort(),
      [...Object.keys(kept).map((why) => `${why}-1`), 'seen-1'].sort(),
    );
    t.same(
      (await store.events(lastSeq)).map(({ topic, data }) => [topic, data]),
      gone.map((deviceId) => ['devices', { type: 'device-forgotten', deviceId }]),
    );
    t.match(await store.upsertDevice(named('sighted-1')), { state: 'sighted' }, 'it may come again');
  });
}
