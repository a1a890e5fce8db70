import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { loadBoardProfiles, profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;
/** Below what networks of these spaces take as they come: the planner must work for it. */
const limits = { peakRamBytes: 14_000, flashBytes: 120_000 };

for (const [board, speed] of [
  ['rp2040-pico', 'cycles'],
  ['mps2-an500', 'instructions'],
] as const) {
  t.test(
    `studies on ${board}: within its RAM and flash, by the int8 network`,
    { skip: board === 'rp2040-pico' ? false : noQemu },
    async (t) => {
      const dataDir = await mkdtemp(join(tmpdir(), 'hilda-board-study-'));
      const store = await openStore({ dataDir, clock: systemClock });
      const pool = new DevicePool({
        store,
        drivers: [new EmulatedDriver({ boards: [board] })],
        clock: systemClock,
      });
      const jobs = new Jobs({ store, pool, clock: systemClock });
      const studies = new StudyService({
        store,
        pool,
        jobs,
        clock: systemClock,
        profilesDir: profilesFolder,
      });
      t.teardown(async () => {
        await studies.stop();
        await jobs.stop();
        await pool.stop();
        await store.close();
        await rm(dataDir, { recursive: true, force: true });
      });
      await pool.start(signal);
      await jobs.start(signal);
      await pool.discover({ signal });
      const device = `emulated-${board}` as DeviceId;
      await pool.adopt(device);
      for (const space of ['mbconv-fmnist', 'vit-fmnist']) {
        const { id } = await studies.create({
          name: space,
          space,
          evaluator: { kind: 'supernet', deployedImages: 40 },
          devices: [device],
          protocol: 'quick',
          objectives: [
            { metric: 'accuracy', goal: 'max' },
            { metric: speed, goal: 'min' },
          ],
          constraints: Object.entries(limits).map(([metric, max]) => ({ metric, max })),
          budget: { trials: 4 },
          batch: 4,
        });
        await studies.settled(id);
        t.match(await store.study(id), { state: 'completed', reason: null });
        const trials = await store.trials(id);
        for (const { state, reason } of trials)
          t.ok(
            state === 'complete' || (state === 'infeasible' && /(RamBytes|flash)/i.test(reason ?? '')),
            reason ?? state,
          );
        const { front } = await studies.fronts(id);
        t.ok(front.length > 0, `${space}: somebody fits`);
        for (const { values, provenance, measurementIds, latencyCiUs } of front) {
          t.equal(provenance, 'emulated');
          t.same(latencyCiUs, {}, 'no time');
          const { counts, verdict, latency } = await store.measurement(measurementIds[0]!);
          t.equal(verdict, 'valid');
          t.equal(latency, null);
          t.equal(counts?.total, values[speed]);
          t.ok(counts!.peakRamBytes <= limits.peakRamBytes && counts!.flashBytes <= limits.flashBytes);
          // Of the network that the board runs; what the float one is worth stands beside it.
          t.ok(values.accuracy! > 0.5 && Math.abs(values.accuracy! - values.floatAccuracy!) < 0.1);
        }

        // MCUFormer's tricks are what makes the winner fit: a planner without them needs more, for the same network.
        const winner = front[0]!;
        const { counts } = await store.measurement(winner.measurementIds[0]!);
        const { onnx } = await studies.exportTrial(id, winner.trialNumber);
        const naive = await compile(readOnnx(onnx), {
          board: {
            weightLayout: board === 'rp2040-pico' ? 'scalar' : 'dsp',
            arenaBytes: loadBoardProfiles().get(board)?.sramBytes as number,
            flashBytes: 2 ** 20,
            weightsAt: 'flash',
            poolBytes: 0,
            fetchesInput: false,
          },
          weights: 'real',
          tricks: 'none',
        });
        t.ok(counts!.arenaPeakBytes <= counts!.arenaPlannedBytes, 'never beyond the plan');
        t.ok(
          naive.arenaBytes > counts!.arenaPlannedBytes,
          `${space}: naive ${naive.arenaBytes} B, planned ${counts?.arenaPlannedBytes} B`,
        );
      }
    },
  );
}
