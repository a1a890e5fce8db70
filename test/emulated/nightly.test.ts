import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { SeriesWatcher } from '../../daemon/benchmarks/alerts/series-watcher.js';
import { SuiteAlerts } from '../../daemon/benchmarks/alerts/suite-alerts.js';
import { BenchmarkRuns } from '../../daemon/benchmarks/runs/benchmark-runs.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { findFirmware, profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { scheduledSuites } from '../../daemon/process/scheduled-work.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { Schedules } from '../../daemon/schedules/schedules.js';
import type { AlertRecord } from '../../daemon/store/alert-contract.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';
import { suiteNetworks } from '../../daemon/study/suite-networks.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { until } from '../until.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const run = promisify(execFile);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
const hasCompiler = await run('arm-none-eabi-gcc', ['--version']).then(
  () => true,
  () => false,
);
const skip =
  process.env.CI || (hasCompiler && findQemu() !== null)
    ? false
    : 'arm-none-eabi-gcc or qemu-system-arm is not installed';

/** Sizes follow the weights, which a study draws and its winner has for good. */
const isSpeed = (one: AlertRecord): boolean =>
  one.kind === 'change' && (one.metric === 'instructions' || one.metric === 'cycles');

/** The M4's image with a linear kernel that idles at each call, built from a copy of the sources. */
async function slowerFirmware(board: string, tree: string): Promise<string> {
  for (const part of ['firmware-bridge/firmware', 'scripts/build-firmware.sh'])
    await cp(join(root, part), join(tree, part), { recursive: true });
  const kernel = join(tree, 'firmware-bridge/firmware/operators/linear.c');
  const source = await readFile(kernel, 'utf8');
  const head = 'int hilda_linear_run(const hilda_call *call) {\n';
  const slower = source.replace(head, `${head}  for (volatile int i = 0; i < 20000; i++) {\n  }\n`);
  t.not(slower, source);
  await writeFile(kernel, slower);
  const out = join(tree, 'images');
  await run('bash', [join(tree, 'scripts/build-firmware.sh'), '--out', out, board], { timeout: 600_000 });
  return out;
}

t.test(
  'a nightly suite of a study’s winner on three devices finds a firmware with a slower kernel',
  { skip },
  async (t) => {
    const boards = ['rp2040-pico', 'mps2-an386'] as const;
    const [pico, m4] = boards.map((board) => `emulated-${board}` as DeviceId) as [DeviceId, DeviceId];
    const dataDir = await mkdtemp(join(tmpdir(), 'hilda-nightly-'));
    let images: string | undefined;
    const store = await openStore({ dataDir, clock: systemClock });
    const emulated = new EmulatedDriver({
      boards,
      firmwareOf: (board) => findFirmware(board, board === 'mps2-an386' ? images : undefined),
    });
    const drivers = [new OnnxRuntimeDriver(), emulated];
    const pool = new DevicePool({ store, drivers, clock: systemClock });
    const blobs = fileBlobs(join(dataDir, 'blobs'));
    const readNetwork = async (bytes: Uint8Array) => readOnnx(bytes);
    const places = { blobs, uploads: blobs, readNetwork, reading: readHere };
    const jobs = new Jobs({ store, pool, clock: systemClock, places });
    const studies = new StudyService({ store, pool, jobs, clock: systemClock, profilesDir: profilesFolder });
    const campaigns = new Campaigns({ store, clock: systemClock });
    const sources = suiteNetworks(studies, profilesFolder);
    const runs = new BenchmarkRuns({ store, jobs, campaigns, clock: systemClock, blobs, sources });
    const clock = new ManualClock(Date.parse('2026-03-01T02:59:00Z'));
    const schedules = new Schedules({ store, clock });
    const alerts = new SuiteAlerts({ store, onAlerts: () => {} });
    schedules.define('suite', scheduledSuites(runs, { clock: systemClock, alerts }));
    const watcher = new SeriesWatcher({ store, clock: systemClock });
    t.teardown(async () => {
      await schedules.stop();
      await studies.stop();
      await campaigns.stop();
      await jobs.stop();
      await pool.stop();
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    });
    await pool.start(signal);
    await jobs.start(signal);
    const cpu = (await pool.discover({ signal })).find(({ target }) => target.provider === 'cpu')
      ?.id as DeviceId;
    for (const device of [cpu, pico, m4]) await pool.adopt(device);

    const { id: study } = await studies.create({
      name: 'small',
      space: 'mbconv-fmnist',
      evaluator: { kind: 'supernet', deployedImages: 20 },
      devices: [m4],
      protocol: 'quick',
      objectives: [
        { metric: 'accuracy', goal: 'max' },
        { metric: 'instructions', goal: 'min' },
      ],
      budget: { trials: 3 },
      batch: 3,
    });
    await studies.settled(study);
    t.match(await store.study(study), { state: 'completed', reason: null });
    const { front } = await studies.fronts(study);
    const winner = [...front].sort(
      (a, b) => (a.values.instructions as number) - (b.values.instructions as number),
    )[0];

    const suite = {
      suite: 'nightly',
      networks: [{ study, best: 'instructions', goal: 'min', name: 'winner' }],
      devices: [cpu, pico, m4],
      protocol: 'quick',
    };
    await schedules.add({
      name: 'each night',
      kind: 'suite',
      timing: { cron: '0 3 * * *', timezone: 'UTC', catchUp: false },
      request: { suite, compare: 'last' },
    });
    await schedules.start();
    const latest = async () => (await store.firings('each night', { limit: 1 }))[0];
    const night = async (number: number): Promise<unknown> => {
      const plannedMs = Date.parse('2026-03-01T03:00:00Z') + number * 24 * 3_600_000;
      await clock.advance(plannedMs - clock.nowMs());
      // The calendar may have been between two looks.
      await until(async () => {
        await clock.advance(1000);
        return (await latest())?.plannedMs === plannedMs;
      }, `night ${number} begins`);
      await until(async () => (await latest())?.outcome !== 'started', `night ${number} ends`);
      return (await latest())?.detail;
    };
    for (let i = 0; i < 2; i++) {
      const detail = (await night(i)) as { broken: string[]; failed: string[] };
      // The host's own measurement may be invalid where other work takes it.
      t.same(
        detail.broken.filter((one) => one.includes('emulated')),
        [],
      );
      t.ok(
        detail.failed.every((one) => one.includes(cpu)),
        JSON.stringify(detail),
      );
    }
    await watcher.catchUp();
    t.same((await store.alerts({})).filter(isSpeed), [], 'equal counts, no alert');
    const [last] = await store.measurements({ deviceId: m4, limit: 1 });
    t.equal(
      last?.counts?.total,
      winner?.values.instructions,
      'the winner of the study is what the suite measures',
    );

    images = await slowerFirmware('mps2-an386', join(dataDir, 'tree'));
    const [before, since] = [
      findFirmware('mps2-an386')?.buildHash,
      findFirmware('mps2-an386', images)?.buildHash,
    ];
    t.not(before, since);
    // As a board that was flashed: it is opened anew.
    await pool.setAside(m4, 'ignored');
    await pool.discover({ signal });
    await pool.adopt(m4);
    const third = (await night(2)) as { verdict: string; broken: string[] };
    t.match(
      { ...third, broken: third.broken.join() },
      {
        verdict: 'broken',
        broken: /winner on emulated-mps2-an386: instructions \+/,
      },
    );
    await watcher.catchUp();
    const found = (await store.alerts({})).filter((one) => one.kind === 'suite' || isSpeed(one));
    const [change] = found.filter((one) => one.kind === 'change' && one.metric === 'instructions');
    t.match(change, { deviceId: m4, metric: 'instructions', cause: 'series' });
    t.ok(change?.kind === 'change' && change.ratio > 1.002);
    t.match(
      change?.kind === 'change' && change.differences.find(({ path }) => path === 'firmwareBuild'),
      { before, since },
      'the alert names the firmware',
    );
    t.notOk(
      found.some(({ deviceId }) => deviceId === pico),
      'the other board did not change',
    );
    t.match(
      found.filter(({ kind }) => kind === 'suite'),
      [{ subject: 'each night' }],
    );
  },
);
