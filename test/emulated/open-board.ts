import type { Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import {
  type BoardProfile,
  findFirmware,
  loadBoardProfiles,
} from '../../daemon/devices/mcu/board-profile.js';
import { compileForBoard } from '../../daemon/devices/mcu/board-program.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import type { Graph } from '../../daemon/network/graph.js';
import { type CompiledNetwork, runReference, type Tricks } from '../../firmware-bridge/compiler/index.js';
import { startEmulated } from '../../firmware-bridge/emulator/start-emulated.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';

const { signal } = new AbortController();
let nonces = 1;

/** An emulated board that said hello. */
export async function openBoard(name: string): Promise<BoardSession> {
  const profile = loadBoardProfiles().get(name);
  const firmware = findFirmware(name);
  if (!profile?.emulator || !firmware) throw new Error(`no emulated ${name}`);
  const transport = await startEmulated(profile.emulator, firmware, signal);
  const session = new BoardSession({ transport, nonce: () => nonces++, patience: 20 });
  await session.hello({ signal });
  return session;
}

/**
 * A network with real weights on a board, calibrated on random values, answers bit for bit what the reference computes,
 * twice in as many ticks, in exactly the arena that was planned.
 */
export async function answersAsReference(
  t: Test,
  session: BoardSession,
  profile: BoardProfile,
  { name, network }: { readonly name: string; readonly network: Graph },
  tricks: Partial<Tricks> = {},
): Promise<CompiledNetwork> {
  const calibration = calibrateOn({}, signal).ranges;
  const { compiled, slot } = await compileForBoard(network, profile, session.board, {
    weights: 'real',
    calibration,
    tricks,
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
  return compiled;
}
