import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { HildaError } from '../../daemon/core/errors.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import {
  type BoardProfile,
  loadBoardProfiles,
  profilesFolder,
} from '../../daemon/devices/mcu/board-profile.js';
import { compileForBoard } from '../../daemon/devices/mcu/board-program.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import { EmulatedDriver, type EmulatedDriverOptions } from '../../daemon/devices/mcu/emulated-driver.js';
import type { Graph } from '../../daemon/network/graph.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { EmulatedBoard } from '../../firmware-bridge/emulator/pico-board.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { answersAsReference, openBoard } from './open-board.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;
const open = (space: string): Space =>
  loadSpace(JSON.parse(readFileSync(join(profilesFolder, `spaces/${space}.json`), 'utf8')));

function sample(name: string, seed: number): Graph {
  const space = open(name);
  return space.network(space.sample(Xoshiro128.fromSeed(seed)), randomWeights);
}

/** The one of a space's known networks that computes most. */
function heaviest(name: string): Graph {
  const space = open(name);
  const [most] = [...(space.seeds?.() ?? [])].sort((a, b) => space.stats(b).macs - space.stats(a).macs);
  if (most === undefined) throw new Error(`${name} knows no network`);
  return space.network(most, randomWeights);
}

const networks: Readonly<Record<string, Graph>> = {
  mbconv: sample('mbconv-fmnist', 13),
  vit: sample('vit-fmnist', 5),
};

const hasRoom = ({ flashBytes }: BoardProfile): boolean => flashBytes > 64 * 1024;
const fitting = (profile: BoardProfile): [string, Graph][] =>
  Object.entries(networks).filter(([name]) => name === 'vit' || hasRoom(profile));

/** Every board that a profile gives an emulator. */
const boards = [...loadBoardProfiles().values()].flatMap(({ board, emulator }) => (emulator ? [board] : []));

for (const board of boards) {
  const skip = board === 'rp2040-pico' ? false : noQemu;
  t.test(
    `${board}: bit for bit what the reference computes, twice, in the arena that was planned`,
    { skip },
    async (t) => {
      const session = await openBoard(board);
      t.teardown(() => session.close());
      const profile = loadBoardProfiles().get(board) as NonNullable<
        ReturnType<ReturnType<typeof loadBoardProfiles>['get']>
      >;
      for (const [name, network] of fitting(profile))
        await answersAsReference(t, session, profile, { name, network });
    },
  );
}

for (const board of boards) {
  const skip = board === 'rp2040-pico' ? false : noQemu;
  t.test(
    `${board}: pings that come while operators are counted change no count, nor the stack's peak`,
    { skip },
    async (t) => {
      const session = await openBoard(board);
      t.teardown(() => session.close());
      const profile = loadBoardProfiles().get(board)!;
      await session.preparePool({ signal });
      const network = hasRoom(profile) ? heaviest('vit-fmnist') : (networks.vit as Graph);
      const { compiled, slot } = await compileForBoard(network, profile, session.board, { weights: 'pool' });
      await session.upload(slot, compiled.program, { signal });
      let heard = 0;
      const count = async (pinging: boolean): Promise<number[]> => {
        let running = true;
        const ping = async (): Promise<void> => {
          while (running) {
            if ((await session.ping()).running !== null) heard++;
            await new Promise((resolve) => setImmediate(resolve));
          }
        };
        const pings = pinging ? ping() : undefined;
        const run = await session.run({ slot, paint: 0xa5, limitMs: 120_000, timeoutMs: 120_000, signal });
        running = false;
        await pings;
        const ticks = await session.ticks(run.operators, { signal });
        return [run.stackPeakBytes, run.arenaPeakBytes, ...ticks];
      };
      const quiet = await count(false);
      const wraps = quiet.slice(2).reduce((sum, ticks) => sum + ticks, 0) / 2 ** 24;
      if (board === 'rp2040-pico') t.ok(wraps > 2, `the counter of 24 bits wraps ${Math.floor(wraps)} times`);
      // On a busy machine few pings come in time: as many runs as it takes.
      for (let i = 0; i < 5 || (heard <= 5 && i < 50); i++) t.same(await count(true), quiet);
      t.ok(heard > 5, `${heard} pings answered within runs`);
    },
  );
}

t.test('two machines with unlike counters count alike', { skip: noQemu }, async (t) => {
  // One core, one code: 25 MHz with the one, 168 MHz with the other, where a tick is no whole part of an instruction.
  const counts: number[][] = [];
  for (const board of ['mps2-an386', 'netduinoplus2']) {
    const session = await openBoard(board);
    t.teardown(() => session.close());
    const profile = loadBoardProfiles().get(board)!;
    const { compiled, slot } = await compileForBoard(networks.vit as Graph, profile, session.board, {
      weights: 'real',
      calibration: calibrateOn({}, signal).ranges,
    });
    const { inputOffset, inputBytes } = await session.upload(slot, compiled.program, { signal });
    await session.fill(inputOffset ?? 0, inputBytes, 1, { signal });
    const run = await session.run({ slot, limitMs: 120_000, timeoutMs: 120_000, signal });
    counts.push(await session.ticks(run.operators, { signal }));
  }
  const [one = [], other = []] = counts;
  const apart = one.map((ticks, i) => (other[i] ?? 0) - ticks);
  // An operator reads its counter once, and once more each time it looks after the line.
  const reading = Math.min(...apart);
  t.ok(reading > 0 && reading < 20, `a reading takes ${reading} instructions more`);
  t.same(
    apart.filter((ticks) => ticks % reading !== 0 || ticks > 20 * reading),
    [],
    'nothing else differs',
  );
});

async function openEmulated(board: string, options: EmulatedDriverOptions): Promise<Device> {
  const driver = new EmulatedDriver({ boards: [board], ...options });
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error(`no emulated ${board}`);
}

for (const board of ['rp2040-pico', 'mps2-an386']) {
  const skip = board === 'rp2040-pico' ? false : noQemu;
  t.test(`${board} hangs within a run: restarted, reported, back by itself`, { skip }, async (t) => {
    const troubles: HildaError[] = [];
    let emulator: EmulatedBoard | undefined;
    let starts = 0;
    const device = await openEmulated(board, {
      patience: 3,
      pingMs: 500,
      onTrouble: (error) => troubles.push(error),
      onStart: (started) => {
        emulator = started;
        starts++;
      },
    });
    t.teardown(() => device.close());
    const network = networks.mbconv as Graph;
    const before = await device.measure(network, contractProtocol, { signal });
    t.equal(before.verdict, 'valid', before.reason);
    let halted = false;
    const onProgress = ({ step }: { readonly step: string }): void => {
      if (step !== 'rounds' || halted) return;
      halted = true;
      emulator?.halt();
    };
    const hung = await device.measure(network, contractProtocol, { signal, onProgress }).catch((e) => e);
    t.match(hung, { code: 'DEVICE_FAILED', retryable: true, details: { hung: true } });
    t.match(troubles, [{ code: 'DEVICE_FAILED', details: { hung: true } }]);
    t.equal(starts, 1, 'its flash is as it was');
    const after = await device.measure(network, contractProtocol, { signal });
    t.same(after.counts, before.counts, 'the same board, the same figures, nothing touched');
  });
}

t.test('a run that is not answered in time: the board is restarted, its deployment still runs', async (t) => {
  const device = await openEmulated('rp2040-pico', { patience: 3, timeoutMs: 100 });
  t.teardown(() => device.close());
  const input = { x: { dims: [1, 4, 8, 8], data: Float32Array.from({ length: 256 }, (_, i) => i - 128) } };
  const deployment = await device.deploy?.(doublingNetwork(), { signal, calibration: [input] });
  if (!deployment) throw new Error('it cannot deploy');
  const before = await device.runDeployed?.(deployment, input, { signal });
  // Emulated, this network takes the better part of a second, and the deployed one a fraction of the time allowed.
  await t.rejects(device.measure(heaviest('mbconv-fmnist'), contractProtocol, { signal }), {
    code: 'DEVICE_TIMEOUT',
  });
  t.same(await device.runDeployed?.(deployment, input, { signal }), before);
});
