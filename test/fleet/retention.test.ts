import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { DaemonClient } from '../../daemon/api/client.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { type Forgotten, Retention, retentionPolicySchema } from '../../daemon/fleet/retention.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { openStore } from '../../daemon/store/open-store.js';
import { runCommand } from '../cli/run-command.js';
import { target } from '../contract/store-samples.js';
import { until } from '../until.js';

const dayMs = 24 * 3600 * 1000;
const { signal } = new AbortController();
const named = (id: string) => ({ id: id as DeviceId, kind: 'fake', label: id, target });

t.test('forgetting tells what went, and a dry run the same without it', async (t) => {
  const clock = new ManualClock(1e12);
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  for (let i = 0; i < 120; i++) await store.upsertDevice(named(`d${String(i).padStart(3, '0')}`));
  await clock.advance(100 * dayMs);
  for (let i = 0; i < 30; i++) await store.publish('measurements', i);
  const policy = retentionPolicySchema.parse({ deviceDays: 30 });
  const pool = { presence: (id: DeviceId) => ({ present: id === 'd007', obstacle: null }) };
  const retention = new Retention({ store, pool, clock, policy });
  const dry = await retention.prune({ dryRun: true });
  t.match(dry, { events: 120, eventsKept: 30, devices: 119, dryRun: true });
  t.equal((await store.devices()).length, 120);
  t.equal(await store.firstSeq(), 1);
  const { dryRun, eventsKept, ...rest } = await retention.prune();
  // That devices were forgotten is an event itself.
  t.equal(eventsKept, dry.eventsKept + 119);
  t.match(rest, { events: dry.events, devices: dry.devices, deviceIds: dry.deviceIds });
  t.same(
    (await store.devices()).map(({ id }) => id),
    ['d007'],
    'one that is here now stays',
  );
  t.equal(await store.firstSeq(), 121);
  t.match(await retention.prune(), { events: 0, devices: 0 });
  await retention.stop();
});

t.test('a daemon forgets by its own schedule, and when it is told to', async (t) => {
  const dataDir = t.testdir();
  const filled = await openStore({ dataDir, clock: systemClock });
  for (let i = 0; i < 1500; i++) await filled.publish('devices', { type: 'made up', i });
  await filled.close();
  const policyFile = join(dataDir, 'retention.json');
  const start = async () => {
    const daemon = new Daemon({ dataDir, port: 0, clock: systemClock, shippedDrivers: false });
    return { daemon, url: await daemon.start(signal) };
  };
  for (const wrong of ['{', '{"eventDays": 0}', '{"events": 1}', '[]']) {
    await writeFile(policyFile, wrong);
    await t.rejects(start(), { code: 'USAGE_INVALID', message: /retention\.json/ }, wrong);
  }
  await writeFile(policyFile, '{"schedule": "every day"}');
  await t.rejects(start(), { code: 'SCHEDULE_INVALID' });

  await writeFile(policyFile, '{"mostEvents": 1000, "schedule": null}');
  const first = await start();
  const prune = async (...args: string[]): Promise<Forgotten> =>
    JSON.parse((await runCommand(first.url, 'prune', '--json', ...args)).out);
  t.match(await prune('--dry-run'), {
    schema: 'hilda.prune.v1',
    events: 500,
    eventsKept: 1000,
    dryRun: true,
  });
  t.match(
    (await runCommand(first.url, 'prune', '--dry-run')).out,
    /would forget 500 events and 0 devices; 1000 /,
  );
  t.match(await prune(), { events: 500, eventsKept: 1000, dryRun: false });
  const made = { name: 'reader', scope: 'measure', days: 1 } as const;
  const { token } = await new DaemonClient(first.url).createToken(made, { signal });
  const other = new DaemonClient(first.url, { token });
  await t.rejects(other.prune({ dryRun: false }, { signal }), { code: 'SCOPE_MISSING' });
  const events = await fetch(`${first.url}/v1/events?since=0&limit=1`, {
    headers: { authorization: `Bearer ${token}` },
  });
  t.match(await events.json(), { firstSeq: 501, events: [{ seq: 501 }] });
  await first.daemon.stop();

  await writeFile(policyFile, '{"mostEvents": 1000, "schedule": "* * * * * *"}');
  const again = await openStore({ dataDir, clock: systemClock });
  for (let i = 0; i < 200; i++) await again.publish('devices', { type: 'made up', i });
  await again.close();
  const second = await start();
  t.teardown(() => second.daemon.stop());
  const client = new DaemonClient(second.url);
  await until(async () => {
    const { events } = await client.prune({ dryRun: true }, { signal });
    // What it did is an event itself.
    return events < 100;
  }, 'the schedule fires');
});
