import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { findFirmware, loadBoardProfiles, profilesFolder } from '../../daemon/devices/mcu/board-profile.js';
import { compileForBoard } from '../../daemon/devices/mcu/board-program.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import type { Graph } from '../../daemon/network/graph.js';
import { randomWeights } from '../../daemon/search/spaces/random-weights.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { runReference } from '../../firmware-bridge/compiler/index.js';
import { startPico } from '../../firmware-bridge/emulator/pico-board.js';
import { findQemu, startQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;
let nonces = 1;

async function openBoard(name: string): Promise<BoardSession> {
  const profile = loadBoardProfiles().get(name);
  const firmware = findFirmware(name);
  if (!profile?.emulator || !firmware) throw new Error(`no emulated ${name}`);
  const transport =
    profile.emulator.kind === 'qemu'
      ? await startQemu({ machine: profile.emulator.machine, imagePath: firmware.path, signal })
      : startPico(readFileSync(firmware.path));
  const session = new BoardSession({ transport, nonce: () => nonces++, patience: 20 });
  await session.hello({ signal });
  return session;
}

function sample(space: string, seed: number): Graph {
  const loaded = loadSpace(JSON.parse(readFileSync(join(profilesFolder, `spaces/${space}.json`), 'utf8')));
  return loaded.network(loaded.sample(Xoshiro128.fromSeed(seed)), randomWeights);
}

const networks: Readonly<Record<string, Graph>> = {
  mbconv: sample('mbconv-fmnist', 5),
  vit: sample('vit-fmnist', 5),
};

const boards = ['rp2040-pico', 'mps2-an385', 'mps2-an386', 'mps2-an500', 'mps3-an547'];

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
      for (const [name, network] of Object.entries(networks)) {
        const calibration = calibrateOn([], signal).ranges;
        const { compiled, slot } = await compileForBoard(network, profile, session.board, {
          weights: 'real',
          calibration,
        });
        const facts = await session.upload(slot, compiled.program, { signal });
        const rng = Xoshiro128.fromSeed(9);
        const input = Int8Array.from({ length: facts.inputBytes }, () => Math.floor(rng.next() * 256) - 128);
        const expected = runReference(compiled.program, input);
        const bytes = new Uint8Array(input.buffer);
        const counts: number[] = [];
        let peak = 0;
        for (const paint of [0xa5, 0x5a]) {
          if (facts.inputOffset !== null) await session.write(facts.inputOffset, bytes, { signal });
          const run = await session.run({
            slot,
            paint,
            input: bytes,
            limitMs: 120_000,
            timeoutMs: 120_000,
            signal,
          });
          const output = await session.read(facts.outputOffset, facts.outputBytes, { signal });
          t.same(new Int8Array(output.buffer), expected, `${name}: output`);
          counts.push(run.ticks);
          peak = Math.max(peak, run.arenaPeakBytes);
          t.ok(
            run.stackPeakBytes > 0 && run.stackPeakBytes < 4096,
            `${name}: ${run.stackPeakBytes} bytes of stack`,
          );
        }
        t.equal(counts[0], counts[1], `${name}: ${counts[0]} ticks both times`);
        t.equal(peak, compiled.arenaBytes, `${name}: arena ${peak}, planned ${compiled.arenaBytes}`);
      }
    },
  );
}
