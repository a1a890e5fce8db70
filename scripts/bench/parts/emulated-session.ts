import { findFirmware, loadBoardProfiles } from '../../../daemon/devices/mcu/board-profile.js';
import type { CompilerBoard } from '../../../firmware-bridge/compiler/index.js';
import { findQemu } from '../../../firmware-bridge/emulator/qemu-board.js';
import { startEmulated } from '../../../firmware-bridge/emulator/start-emulated.js';
import { BoardSession, type RunReport } from '../../../firmware-bridge/link/index.js';

/** A session with an emulated board, for benchmarks that send programs themselves; null where it cannot run here. */
export async function openEmulated(name: string, signal: AbortSignal): Promise<BoardSession | null> {
  const profile = loadBoardProfiles().get(name);
  const firmware = findFirmware(name);
  if (!profile?.emulator || !firmware || (profile.emulator.kind === 'qemu' && findQemu() === null))
    return null;
  const transport = await startEmulated(profile.emulator, firmware, signal);
  let nonce = 1;
  const session = new BoardSession({ transport, nonce: () => nonce++, patience: 20 });
  await session.hello({ signal });
  return session;
}

/** Each board that can run here, open while it is looked at; of the others it is said that they cannot. */
export async function* emulatedBoards(
  names: string,
  signal: AbortSignal,
): AsyncGenerator<{ readonly name: string; readonly session: BoardSession; readonly board: CompilerBoard }> {
  for (const name of names.split(',')) {
    const session = await openEmulated(name, signal);
    if (!session) {
      console.log(`${name} cannot run here`);
      continue;
    }
    try {
      yield { name, session, board: compilerBoard(session) };
    } finally {
      await session.close();
    }
  }
}

/** What the compiler must know of a board that said hello. `arenaBytes` leaves room for the operators' ticks. */
export function compilerBoard(session: BoardSession): CompilerBoard {
  const { board } = session;
  const layouts = ['rows', 'scalar', 'dsp', 'mve'] as const;
  return {
    weightLayout: layouts[board.nativeLayout] ?? 'rows',
    arenaBytes: board.workBytes - 4096,
    flashBytes: board.slotBytes,
    weightsAt: 'flash',
    poolBytes: board.poolBytes,
    fetchesInput: true,
  };
}

/** RAM where a program fits there beside its arena and its operators' ticks, else flash. */
export const slotFor = (
  { board }: BoardSession,
  { program, records, arenaBytes }: { program: Uint8Array; records: number; arenaBytes: number },
): 'ram' | 'staged' => (arenaBytes + 4 * records + program.length + 64 <= board.workBytes ? 'ram' : 'staged');

/** Runs a program once with arena and stack painted. It goes to RAM where it fits beside its arena, else to flash. */
export async function runPainted(
  session: BoardSession,
  program: Uint8Array,
  { records, arenaBytes, signal }: { records: number; arenaBytes: number; signal: AbortSignal },
): Promise<{ readonly report: RunReport; readonly ticks: readonly number[] }> {
  const slot = slotFor(session, { program, records, arenaBytes });
  await session.preparePool({ signal });
  await session.upload(slot, program, { signal });
  // Two colours: a byte that happens to equal one is seen by the other.
  const run = (paint: number): Promise<RunReport> =>
    session.run({ slot, paint, limitMs: 600_000, timeoutMs: 600_000, signal });
  const [first, report] = [await run(0xa5), await run(0x5a)];
  const arenaPeakBytes = Math.max(first.arenaPeakBytes, report.arenaPeakBytes);
  return { report: { ...report, arenaPeakBytes }, ticks: await session.ticks(records, { signal }) };
}
