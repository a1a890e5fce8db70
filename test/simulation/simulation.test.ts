import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { systemClock } from '../../daemon/core/clock.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { profilesDir } from '../../daemon/process/installation.js';
import { simulateFleet } from '../../daemon/simulation/simulate-fleet.js';
import { parseFleetSpec } from '../../daemon/simulation/spec.js';
import type { MeasurementRecord } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { runHere } from '../cli/run-command.js';
import { doublingNetwork } from '../contract/device-contract.js';

t.setTimeout(300_000);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
const { signal } = new AbortController();

async function folder(t: Test): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hilda-fleet-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

const schedule = {
  name: 'nightly',
  cron: '0 3 * * *',
  suite: {
    suite: 'nightly',
    protocol: 'quick',
    devices: ['tag=lab'],
    networks: [{ space: 'mbconv-fmnist', samples: 1 }],
  },
};
const small = {
  fleet: 'small',
  days: 3,
  devices: [{ name: 'a', count: 3, tags: ['lab'] }],
  schedules: [schedule],
};

const simulate = (spec: object, dataDir = ':memory:') =>
  simulateFleet(parseFleetSpec(spec, 'the test'), {
    dataDir,
    profilesDir,
    suiteFrom: async (suite) => suite as never,
    signal,
  });

async function rowsOf(dataDir: string): Promise<MeasurementRecord[]> {
  const store = await openStore({ dataDir, clock: systemClock });
  const rows = await store.measurements({ limit: 10_000 });
  await store.close();
  return rows;
}

t.test(
  'a month with unplugs, hangs and a firmware change: nothing is lost, alerts name the firmware',
  async (t) => {
    const events = [
      { kind: 'firmware', at: '2026-01-12T12:00:00Z', groups: ['a'], version: '2.0.0', slower: 1.1 },
      { kind: 'unplug', at: '2026-01-03T02:59:30Z', minutes: 1, groups: ['a'] },
      { kind: 'unplug', at: '2026-01-04T02:59:30Z', minutes: 60, groups: ['b'], share: 0.5 },
      { kind: 'hang', at: '2026-01-06T02:59:30Z', minutes: 30, groups: ['b'] },
      { kind: 'move', at: '2026-01-08T03:00:00.4Z', minutes: 0.2 },
      { kind: 'unplug', perMonth: 2, minutes: [10, 600] },
    ];
    const outcome = await simulate({
      ...small,
      days: 30,
      devices: [
        { name: 'a', count: 3, tags: ['lab'], spread: 0.2 },
        { name: 'b', count: 2, tags: ['lab'], speed: 0.5 },
      ],
      events,
    });
    t.same(outcome.schedules, [{ name: 'nightly', firings: { done: 30 } }]);
    const { open, done, failed, cancelled } = outcome.cases;
    t.equal(open + cancelled, 0);
    t.equal(done + failed, 30 * 5, 'each measurement that was asked for has an end');
    t.ok(failed >= 2 && failed < 15, `${failed} failed`);
    t.equal(outcome.measurements.valid, done);
    t.match(outcome.firmware, [{ version: '2.0.0', devices: 3, named: 3 }]);
    t.ok(Math.abs((outcome.firmware[0]?.medianRatio ?? 0) - 1.1) < 0.02, 'with its size');
    t.ok((outcome.firmware[0]?.medianDaysUntilAlert ?? 99) < 12);
    for (const { device, differences, sinceMs } of outcome.alerts) {
      t.match(device, /^virtual-a-/, 'no other device raises an alert');
      t.match(
        differences.find(({ path }) => path === 'firmware'),
        { before: '1.0.0', since: '2.0.0' },
      );
      t.ok(Math.abs(sinceMs - Date.UTC(2026, 0, 13, 3)) < 3 * 86_400_000, new Date(sinceMs).toISOString());
    }
    const ends = new Map(outcome.faults.map(({ kind, endings }) => [kind, endings]));
    t.same(ends.get('hang'), { DEVICE_FAILED: 2 });
    t.equal(ends.get('move')?.measured, 5, 'a device that moves is opened at its new address');
    t.ok((ends.get('unplug')?.measured ?? 0) >= 3, 'one that is back soon is waited for');
    t.ok((ends.get('unplug')?.DEVICE_GONE ?? 0) >= 1);
    t.ok((ends.get('unplug')?.['no run'] ?? 0) >= 1);
  },
);

t.test('the same seed gives the same rows, another seed others', async (t) => {
  const spec = { ...small, events: [{ kind: 'unplug', perMonth: 30, minutes: [10, 600] }] };
  const run = async (seed: number) => {
    const dataDir = await folder(t);
    const outcome = await simulate({ ...spec, seed }, dataDir);
    return { outcome, rows: await rowsOf(dataDir) };
  };
  const [first, again, other] = [await run(5), await run(5), await run(6)];
  t.ok(first.rows.length >= 5);
  t.same(again, first);
  t.notSame(other.rows, first.rows);
  for (const { target, provenance, manifest } of first.rows)
    t.match(
      { target, provenance, manifest },
      {
        target: { tier: 'virtual', runtime: 'virtual' },
        provenance: 'emulated',
        manifest: { virtual: true },
      },
    );
  // A device more changes nothing of the others.
  const dataDir = await folder(t);
  await simulate({ ...spec, seed: 5, devices: [{ ...small.devices[0], count: 4 }] }, dataDir);
  const figures = (rows: readonly MeasurementRecord[]) =>
    rows
      .filter(({ deviceId }) => deviceId !== 'virtual-a-3')
      .map(({ deviceId, takenAtMs, latency }) => [
        deviceId,
        Math.round(takenAtMs / 1e4),
        latency?.normalisedUs,
      ])
      .sort();
  t.same(figures(await rowsOf(dataDir)), figures(first.rows));
});

t.test('specifications that cannot be are refused with a code', async (t) => {
  const [devices] = small.devices;
  const event = { kind: 'unplug', at: '2026-01-02', minutes: 5 };
  const refused: readonly [what: string, spec: unknown, code: string, words: RegExp][] = [
    ['nothing', null, 'SPEC_INVALID', /expected object/],
    ['an unknown key', { ...small, day: 3 }, 'SPEC_INVALID', /"day"/],
    ['of a device', { ...small, devices: [{ ...devices, sped: 1 }] }, 'SPEC_INVALID', /"sped"/],
    ['of an event', { ...small, events: [{ ...event, minute: 5 }] }, 'SPEC_INVALID', /"minute"/],
    ['an unknown event', { ...small, events: [{ ...event, kind: 'fire' }] }, 'SPEC_INVALID', /kind/],
    ['no devices', { ...small, devices: [{ ...devices, count: 0 }] }, 'SPEC_INVALID', /count/],
    ['10^9 devices', { ...small, devices: [{ ...devices, count: 1e9 }] }, 'SPEC_INVALID', /count/],
    [
      'too many together',
      { ...small, devices: ['a', 'b'].map((name) => ({ ...devices, name, count: 15_000 })) },
      'SPEC_INVALID',
      /30000 devices/,
    ],
    ['half a device', { ...small, devices: [{ ...devices, count: 1.5 }] }, 'SPEC_INVALID', /count/],
    ['two groups of one name', { ...small, devices: [devices, devices] }, 'SPEC_INVALID', /one name/],
    [
      'a negative rate',
      { ...small, events: [{ kind: 'hang', perMonth: -1, minutes: 5 }] },
      'SPEC_INVALID',
      /perMonth/,
    ],
    [
      'an endless number of events',
      {
        ...small,
        days: 3660,
        devices: [{ ...devices, count: 20_000 }],
        events: [{ kind: 'hang', perMonth: 10_000, minutes: 5 }],
      },
      'SPEC_INVALID',
      /random events/,
    ],
    ['date and rate', { ...small, events: [{ ...event, perMonth: 1 }] }, 'SPEC_INVALID', /either/],
    ['neither', { ...small, events: [{ kind: 'hang', minutes: 5 }] }, 'SPEC_INVALID', /either/],
    ['no time at all', { ...small, events: [{ ...event, minutes: 0 }] }, 'SPEC_INVALID', /minutes/],
    [
      'it ends before it begins',
      { ...small, events: [{ ...event, minutes: [9, 5] }] },
      'SPEC_INVALID',
      /from 9 to 5/,
    ],
    [
      'a date after the end',
      { ...small, events: [{ ...event, at: '2026-01-04' }] },
      'SPEC_INVALID',
      /outside/,
    ],
    [
      'a date before the start',
      { ...small, events: [{ ...event, at: '2025-12-31T23:59:59Z' }] },
      'SPEC_INVALID',
      /outside/,
    ],
    ['no date', { ...small, events: [{ ...event, at: '2026-02-30' }] }, 'SPEC_INVALID', /at/],
    [
      'devices that are not there',
      { ...small, events: [{ ...event, groups: ['z'] }] },
      'SPEC_INVALID',
      /devices z/,
    ],
    ['a share of two', { ...small, events: [{ ...event, share: 2 }] }, 'SPEC_INVALID', /share/],
    ['no speed', { ...small, devices: [{ ...devices, speed: 0 }] }, 'SPEC_INVALID', /speed/],
    [
      'firmware that takes no time',
      { ...small, events: [{ kind: 'firmware', at: '2026-01-02', version: '2', slower: 0 }] },
      'SPEC_INVALID',
      /slower/,
    ],
    ['no days', { ...small, days: 0 }, 'SPEC_INVALID', /days/],
    ['for ever', { ...small, days: 1e9 }, 'SPEC_INVALID', /days/],
    [
      'a wrong line',
      { ...small, schedules: [{ ...schedule, cron: '61 3 * * *' }] },
      'SCHEDULE_INVALID',
      /61 3/,
    ],
    [
      'no day fits',
      { ...small, schedules: [{ ...schedule, cron: '0 3 30 2 *' }] },
      'SCHEDULE_INVALID',
      /impossible day/,
    ],
    [
      'an unknown zone',
      { ...small, schedules: [{ ...schedule, timezone: 'Europe/Nowhere' }] },
      'SCHEDULE_INVALID',
      /Nowhere/,
    ],
    [
      'a study',
      {
        ...small,
        schedules: [{ ...schedule, suite: { ...schedule.suite, networks: [{ study: 'study-1' }] } }],
      },
      'SPEC_INVALID',
      /study/,
    ],
    ['two schedules of one name', { ...small, schedules: [schedule, schedule] }, 'SPEC_INVALID', /one name/],
  ];
  for (const [what, spec, code, message] of refused)
    t.throws(() => parseFleetSpec(spec, 'the test'), { code, message }, what);
  const run = (suite: object) =>
    simulate({ ...small, schedules: [{ ...schedule, suite: { ...schedule.suite, ...suite } }] });
  await t.rejects(run({ devices: ['tag=none'] }), { code: 'DEVICE_UNKNOWN' });
  await t.rejects(run({ networks: [{ space: 'none', samples: 1 }] }), { code: 'NOT_FOUND' });
  await t.rejects(run({ protocol: 'none' }), { code: 'PROTOCOL_UNKNOWN' });
  const stopped = AbortSignal.abort(new Error('enough'));
  await t.rejects(
    simulateFleet(parseFleetSpec(small, 'the test'), {
      dataDir: ':memory:',
      profilesDir,
      suiteFrom: async (one) => one as never,
      signal: stopped,
    }),
    { message: 'enough' },
  );
});

t.test('the guide is true: its specification runs, and a daemon shows what it kept', async (t) => {
  const guide = await readFile(join(root, 'docs/fleet.md'), 'utf8');
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(guide) ?? [];
  const dir = await folder(t);
  const file = join(dir, 'fleet.yaml');
  const data = join(dir, 'virtual-data');
  await writeFile(file, yaml);
  const plain = await runHere(['fleet', 'simulate', file, '--keep', data]);
  t.equal(plain.code, 0, plain.err);
  t.match(plain.out, /6 virtual devices, seed 7: nothing was measured/);
  t.match(plain.out, /schedule +nightly: 30 done/);
  t.match(plain.out, /firmware +2\.0\.0 .* named by alerts of 4 of 4 devices/);
  t.match(plain.out, /firmware 1\.0\.0 -> 2\.0\.0/);
  t.match(plain.out, /move +4: 4 measured/);
  const { client, stop } = await startTestDaemon({ dataDir: data, drivers: [] });
  const devices = await client.devices({ signal });
  const measurement = await client.measurement('m1', { signal });
  await stop();
  t.equal(devices.length, 6);
  t.same([...new Set(devices.map(({ target }) => target.tier))], ['virtual']);
  t.match(measurement, { target: { tier: 'virtual' }, provenance: 'emulated', manifest: { virtual: true } });
  const twice = await runHere(['fleet', 'simulate', file, '--keep', data]);
  t.equal(twice.code, 2);
  t.match(twice.err, /not empty/);

  // Files beside the specification; the answer as a document.
  await writeFile(join(dir, 'net.onnx'), writeOnnx(doublingNetwork()));
  const [given] = [
    parse(yaml) as { days: number; events: unknown[]; schedules: [{ suite: { networks: unknown[] } }] },
  ];
  given.schedules[0].suite.networks = [{ files: '*.onnx' }];
  await writeFile(file, JSON.stringify({ ...given, days: 2, events: [] }));
  const json = await runHere(['fleet', 'simulate', file, '--json']);
  t.equal(json.code, 0, json.err);
  t.match(JSON.parse(json.out), {
    schema: 'hilda.fleet-simulation.v1',
    outcome: { devices: 6, cases: { done: 12, open: 0 }, alerts: [] },
  });
  const wrong = await runHere(['fleet', 'simulate', join(dir, 'none.yaml')]);
  t.equal(wrong.code, 3);
  t.ok(
    parseFleetSpec(
      parse(await readFile(join(profilesDir, 'fleets/nightly.yaml'), 'utf8')),
      'the shipped one',
    ),
  );
});
