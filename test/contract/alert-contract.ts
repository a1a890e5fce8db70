import type {
  AlertId,
  DeliveryId,
  DeviceId,
  MeasurementId,
  MuteId,
  WebhookId,
} from '../../daemon/core/ids.js';
import type { NewAlert } from '../../daemon/store/alert-contract.js';
import type { Store } from '../../daemon/store/contract.js';
import type { WithStore } from './job-contract.js';
import { alert, codeOf, deviceId, measurement, target } from './store-samples.js';

const m = (n: number): MeasurementId => `m${n}` as MeasurementId;
const raise = (store: Store, ...alerts: NewAlert[]) =>
  store.raiseAlerts({ alerts, returned: [], watchedUpTo: 12 });
const ids = (records: readonly { readonly id: string }[]): string[] => records.map(({ id }) => id);

/** What every engine keeps of alerts. */
export function runAlertContract(withStore: WithStore): void {
  withStore('one change raises one alert, and may go back', async (t, store, clock) => {
    t.equal(await store.watchedUpTo(), 0);
    t.match(await raise(store, alert), [
      { ...alert, id: 'alert-1', raisedMs: 1000, muted: false, returnedAt: null },
    ]);
    t.equal(await store.watchedUpTo(), 12);
    const later: NewAlert = { ...alert, since: m(10), between: [m(9), m(11)] };
    t.same(await raise(store, alert, later), [], 'its time may be the same');
    const others = [
      { ...alert, series: 'another' },
      { ...alert, metric: 'peakBytes' as const },
      { ...alert, ratio: 0.9 },
      { ...alert, between: [m(10), m(11)] as const },
    ];
    t.equal((await raise(store, ...others)).length, 4, 'another series, metric, direction or time');
    const { series, metric, between } = alert;
    const back = { series, metric, between, ratio: 1.04, returnedAt: m(14) };
    await store.raiseAlerts({ alerts: [], returned: [back], watchedUpTo: 14 });
    t.match(await store.alert('alert-1' as AlertId), { returnedAt: m(14) });
    t.match(await store.alert('alert-4' as AlertId), { returnedAt: null }, 'the other direction stays');
    const events = await store.events(0, { topics: ['alerts'] });
    t.same(
      events.map(({ data }) => (data as { type: string }).type),
      [...Array(5).fill('alert'), 'alert-returned'],
    );
    t.same(ids(await store.alerts({ limit: 2 })), ['alert-5', 'alert-4']);
    t.same(ids(await store.alerts({ before: 'alert-4' as AlertId, limit: 2 })), ['alert-3', 'alert-2']);
    await clock.advance(5);
    const by = { by: 'anna', note: 'an upgrade' };
    t.match(await store.acknowledgeAlert('alert-2' as AlertId, by), { acknowledged: { ...by, atMs: 1005 } });
    t.match(await store.acknowledgeAlert('alert-2' as AlertId, { by: 'ben', note: '' }), {
      acknowledged: by,
    });
    t.same(ids(await store.alerts({ state: 'acknowledged' })), ['alert-2']);
    t.same([await store.alertCount({ state: 'open' }), await store.alertCount({ deviceId })], [4, 5]);
    t.equal(await store.alertCount({ deviceId: 'other' as DeviceId }), 0);
    for (const unknown of ['alert-9', 'alert-01', 'x', '', 'constructor'])
      t.equal(await codeOf(store.alert(unknown as AlertId)), 'NOT_FOUND', unknown);
    t.equal(await codeOf(store.acknowledgeAlert('alert-9' as AlertId, by)), 'NOT_FOUND');
  });

  withStore('a mute covers alerts to come, until it ends', async (t, store, clock) => {
    const all = { deviceId: null, structureHash: null, metric: null, untilMs: null, note: '', by: 'anna' };
    await store.addMute({ ...all, deviceId: 'other' as DeviceId });
    await store.addMute({ ...all, metric: 'peakBytes' });
    t.match(await raise(store, alert), [{ muted: false }], 'another device, another metric');
    const mute = await store.addMute({ ...all, deviceId, metric: 'latencyUs', untilMs: 2000 });
    const next = (n: number): NewAlert => ({ ...alert, since: m(n), between: [m(n), m(n)], foundAt: m(n) });
    t.match(await raise(store, next(20)), [{ muted: true }]);
    t.same(ids(await store.alerts({ state: 'muted' })), ['alert-2']);
    t.equal((await store.mutes()).length, 3);
    await clock.advance(1000);
    t.match(await raise(store, next(30)), [{ muted: false }], 'it ran out');
    t.same(ids(await store.mutes()), ['mute-2', 'mute-1']);
    t.equal((await store.mute(mute.id)).untilMs, 2000);
    await store.liftMute('mute-1' as MuteId);
    t.same(ids(await store.mutes()), ['mute-2']);
    t.equal(await codeOf(store.liftMute('mute-1' as MuteId)), 'NOT_FOUND');
  });

  withStore(
    'a notice is raised until somebody knows of it, or its subject is well again',
    async (t, store, clock) => {
      const notice = {
        kind: 'suite',
        subject: 'nightly',
        deviceId: null,
        text: 'It broke.',
        detail: { run: '1' },
      } as const;
      await store.addWebhook({ url: 'http://a/', secret: 's', by: 'anna' });
      t.match(await store.raiseNotice(notice), { ...notice, id: 'alert-1', muted: false, resolvedMs: null });
      t.equal(await store.raiseNotice(notice), null, 'a run is told once');
      t.match(
        await store.raiseNotice({ ...notice, detail: { run: '2' } }),
        { id: 'alert-2' },
        'each run is one',
      );
      await store.acknowledgeAlert('alert-1' as AlertId, { by: 'anna', note: '' });
      t.equal(await store.raiseNotice({ ...notice, detail: { run: '3' } }), null, 'somebody knows');
      t.match(await store.raiseNotice({ ...notice, subject: 'weekly' }), { id: 'alert-3' });
      await clock.advance(7);
      t.equal(await store.resolveNotices('suite', 'nightly'), 2);
      t.equal(await store.resolveNotices('suite', 'nightly'), 0);
      t.match(await store.alert('alert-2' as AlertId), { resolvedMs: clock.nowMs() });
      t.match(await store.alert('alert-3' as AlertId), { resolvedMs: null });
      t.match(await store.raiseNotice(notice), { id: 'alert-4' }, 'it broke anew');
      const kinds = (await store.deliveries({ webhookId: 'webhook-1' as WebhookId })).map(({ kind }) => kind);
      t.same(kinds, ['alert', 'alert-returned', 'alert', 'alert', 'alert']);
      t.equal(await store.alertCount({ deviceId }), 0);

      await store.upsertDevice({ id: deviceId, kind: 'fake', label: 'x', target });
      const all = { deviceId: null, structureHash: null, metric: null, untilMs: null, note: '', by: 'anna' };
      await store.addMute({ ...all, deviceId, metric: 'cycles' });
      await store.setDeviceState(deviceId, 'quarantined', 'smoke', 'failures');
      t.match(await store.device(deviceId), {
        quarantine: { by: 'failures', sinceMs: clock.nowMs(), passed: 0 },
      });
      t.match(await store.noteHealthCheck(deviceId, true), { quarantine: { passed: 1 } });
      await store.setDeviceState(deviceId, 'quarantined', 'more smoke');
      t.match((await store.device(deviceId)).quarantine, { by: 'hand' });
      t.match(
        await store.alerts({ deviceId }),
        [{ kind: 'quarantine', text: /smoke/, muted: false }],
        'one quarantine',
      );
      await store.setDeviceState(deviceId, 'adopted');
      t.match(await store.alerts({ deviceId }), [{ resolvedMs: clock.nowMs() }]);
      t.match(await store.noteHealthCheck(deviceId, true), { quarantine: null });
      await store.addMute({ ...all, deviceId });
      await store.setDeviceState(deviceId, 'quarantined');
      t.match(await store.alerts({ deviceId, limit: 1 }), [
        { muted: true, text: 'The device fake-1 is in quarantine.' },
      ]);
    },
  );

  withStore('an alert is a message to each webhook, in the order of alerts', async (t, store, clock) => {
    const hook = (url: string) => store.addWebhook({ url, secret: 's', by: 'anna' });
    const [a, b] = [await hook('http://a/'), await hook('http://b/')];
    t.match(await store.webhooks(), [
      { id: 'webhook-1', url: 'http://a/', disabled: null },
      { id: 'webhook-2' },
    ]);
    t.notMatch(JSON.stringify(await store.webhooks()), /secret/);
    await raise(store, alert, { ...alert, series: 'x' });
    const all = { deviceId: null, structureHash: null, metric: null, untilMs: null, note: '', by: 'anna' };
    await store.addMute(all);
    await raise(store, { ...alert, series: 'y' });
    t.equal(await store.deliveryCount(a.id), 2, 'a muted one is no message');
    const [first] = await store.nextDeliveries();
    t.match(first, {
      webhookId: a.id,
      kind: 'alert',
      body: { id: 'alert-1' },
      url: 'http://a/',
      secret: 's',
      attempt: 0,
    });
    if (!first) throw new Error('there is one');
    await store.noteDelivery(first.id, { error: 'no', againMs: 5000 });
    t.match(await store.nextDeliveries(), [
      { id: first.id, attempt: 1, error: 'no', nextMs: 5000 },
      { webhookId: b.id },
    ]);
    await clock.advance(5);
    await store.noteDelivery(first.id, { error: null });
    await store.noteDelivery(first.id, { error: 'late' });
    t.match(await store.deliveries({ webhookId: a.id }), [
      { state: 'waiting', body: { id: 'alert-2' } },
      { id: first.id, state: 'delivered', attempt: 2, error: null, endedMs: 1005 },
    ]);
    t.same(ids(await store.deliveries({ webhookId: a.id, before: first.id })), []);
    const other = (await store.nextDeliveries()).find(({ webhookId }) => webhookId === b.id);
    await store.noteDelivery(other?.id as DeliveryId, { error: '410', disabled: 'gone' });
    t.match(await store.nextDeliveries(), [{ webhookId: a.id, body: { id: 'alert-2' } }]);
    t.equal((await store.webhook(b.id)).disabled, 'gone');
    await store.queueDelivery({ kind: 'digest', body: 1, values: { when: 7 } });
    t.equal(await store.value('when'), 7);
    t.same([await store.deliveryCount(a.id), await store.deliveryCount(b.id)], [3, 2]);
    const nobody = 'webhook-9' as WebhookId;
    t.equal(
      await codeOf(store.queueDelivery({ kind: 'test', body: 1, webhookId: nobody, values: { when: 8 } })),
      'NOT_FOUND',
    );
    t.equal(await store.value('when'), 7);
    await store.removeWebhook(a.id);
    t.same(await store.nextDeliveries(), []);
    t.equal(await codeOf(store.webhook(a.id)), 'NOT_FOUND');
    t.equal(await codeOf(store.removeWebhook(a.id)), 'NOT_FOUND');
    await store.noteDelivery(first.id, { error: null });
  });

  withStore('measurements are read in the order of storing', async (t, store) => {
    await store.upsertDevice({ id: deviceId, kind: 'fake', label: 'x', target });
    const lease = await store.acquireLease(deviceId, 'a', 1000);
    if (!lease) throw new Error('the device is free');
    for (const verdict of ['valid', 'noisy', 'valid'] as const)
      await store.addMeasurement({ ...measurement, verdict }, { deviceId, lease });
    const { structureHash } = measurement;
    t.same(await store.measuredAfter(1, 5), [
      { ordinal: 2, deviceId, structureHash, valid: false },
      { ordinal: 3, deviceId, structureHash, valid: true },
    ]);
    t.equal((await store.measuredAfter(0, 1)).length, 1);
    const other = 'c'.repeat(64);
    t.same(
      await store.wereMeasured([
        { deviceId, structureHash, before: m(3) },
        { deviceId, structureHash, before: m(1) },
        { deviceId: 'other' as DeviceId, structureHash, before: m(3) },
        { deviceId, structureHash: other, before: m(3) },
        ...Array.from({ length: 250 }, () => ({ deviceId, structureHash, before: m(2) })),
      ]),
      [true, false, false, false, ...Array(250).fill(true)],
    );
    t.same(await store.wereMeasured([]), []);
    t.same(await store.verdictsAfter(0), { verdicts: { noisy: 1, valid: 2 }, upTo: 3 });
    t.same(await store.verdictsAfter(3), { verdicts: {}, upTo: 3 });
  });
}
