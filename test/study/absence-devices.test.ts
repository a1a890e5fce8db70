import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DeviceId } from '../../daemon/core/ids.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { findFirmware, loadBoardProfiles } from '../../daemon/devices/mcu/board-profile.js';
import { SerialDriver } from '../../daemon/devices/mcu/serial-driver.js';
import { findQemu, spawnBoard } from '../../firmware-bridge/emulator/qemu-board.js';
import { childPath, openHub, until } from '../agent/agent-bench.js';
import { openBench, smallSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;

interface Leaver {
  readonly driver: Driver;
  /** What the study measures on it. */
  readonly metric: string;
  /** At once, without a word. */
  leave(): void;
  comeBack(): Promise<void>;
}

/**
 * A study over a fake and another device, which is taken away during a measurement, stays away for longer than its trials
 * are held, comes back, and catches up.
 */
async function outlives(t: Test, { driver, metric, leave, comeBack }: Leaver): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-absence-'));
  const fake = new LeavingDriver(['fake-0']);
  const { store, pool, studies, close } = await openBench(dataDir, {}, () => [fake, driver]);
  t.teardown(async () => {
    await close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const { id: lost } = (await store.devices()).find(({ kind }) => kind !== 'fake')!;
  const trialsOf = (all: Awaited<ReturnType<typeof store.trials>>, device: string) =>
    all.filter(({ measurements }) => measurements[device as DeviceId]);
  const { id } = await studies.create(
    await smallSpec(dataDir, {
      devices: ['fake-0', lost],
      objectives: [
        { metric: 'accuracy', goal: 'max' },
        { metric: 'latencyUs', goal: 'min' },
        { metric: `${metric}@${lost}`, goal: 'min' },
      ],
      sampler: { name: 'nsga2' },
      budget: { trials: 36 },
      holdMinutes: 0.05,
    }),
  );
  const trials = () => store.trials(id);
  await until(async () => trialsOf(await trials(), lost).length >= 8, 'it has its share');
  leave();
  const isPartial = ({ reason }: { readonly reason: string | null }) => /not there/.test(reason ?? '');
  let back: Promise<void> | undefined;
  let missed: readonly number[] = [];
  // The other device waits a little with the trials that are left, so that some are, however slow the other's return.
  fake.before = async () => {
    const partial = (await trials()).filter(isPartial);
    if (partial.length < 6) return;
    if (!back) missed = partial.map(({ number }) => number);
    back ??= comeBack().then(() => until(() => pool.presence(lost).present, 'it is back'));
    await back;
  };
  await studies.settled(id);
  t.match(await store.study(id), { state: 'completed', reason: null });
  const all = await trials();
  t.equal(
    all.filter(({ state }) => state === 'complete').length,
    36,
    all.find(({ state }) => state !== 'complete')?.reason ?? '',
  );
  t.equal(trialsOf(all, 'fake-0').length, 36, 'the other device measured every trial');
  t.same(all.filter(isPartial), [], 'it caught up');
  t.equal((await store.measurements({ studyId: id, deviceId: lost, limit: 100 })).length, 36, 'none twice');
  const takenAt = (number: number): number => Number(all[number]!.measurements[lost]!.slice(1));
  const inTime = all
    .filter(({ number }) => number > Math.max(...missed))
    .map(({ number }) => takenAt(number));
  t.ok(inTime.length > 0, 'it had its share again');
  t.ok(Math.min(...missed.map(takenAt)) > Math.min(...inTime), 'what it missed came later');
  const { front, devices } = await studies.fronts(id);
  t.ok(front.every(({ values }) => values[`${metric}@${lost}`] !== undefined));
  t.ok(
    devices.every((one) => one.front.length > 0),
    'a front each',
  );
}

t.test('an agent is killed during a study, and started again', async (t) => {
  const { hub, keys, url, folder } = await openHub(t, { leaseMs: 1500, heartbeatMs: 100 });
  let child: ChildProcess | undefined;
  const start = async (...token: string[]): Promise<void> => {
    child = spawn(process.execPath, [childPath, url, join(folder, 'there'), ...token], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await until(() => hub.agents().length === 1, 'the agent joined');
  };
  t.teardown(() => child?.kill('SIGKILL'));
  await start((await keys.issue('agent')).token);
  await outlives(t, {
    driver: new AgentDriver(hub),
    metric: 'latencyUs',
    leave: () => child?.kill('SIGKILL'),
    comeBack: () => start(),
  });
});

t.test('a board is unplugged during a study, and plugged in again', { skip: noQemu }, async (t) => {
  const board = 'mps2-an386';
  const image = findFirmware(board) as NonNullable<ReturnType<typeof findFirmware>>;
  const plug = () => spawnBoard(findQemu() as string, { machine: board, imagePath: image.path, signal });
  let plugged: Awaited<ReturnType<typeof plug>> | undefined = await plug();
  t.teardown(() => plugged?.child.kill('SIGKILL'));
  const usb = { vendorId: '0483', productId: '374b', serialNumber: '066CFF' };
  const profiles = new Map(loadBoardProfiles());
  const profile = profiles.get(board) as NonNullable<ReturnType<typeof profiles.get>>;
  profiles.set(board, { ...profile, usb: [{ vendorId: '0483' }] });
  await outlives(t, {
    driver: new SerialDriver({
      profiles,
      pingMs: 200,
      portsMs: 50,
      listPorts: async () => (plugged ? [{ ...usb, path: plugged.path }] : []),
    }),
    metric: 'instructions',
    leave: () => {
      plugged?.child.kill('SIGKILL');
      plugged = undefined;
    },
    comeBack: async () => {
      plugged = await plug();
    },
  });
});
