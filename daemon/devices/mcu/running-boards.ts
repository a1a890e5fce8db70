import {
  BoardSession,
  listSerialPorts,
  openSerial,
  type SerialOptions,
  type Transport,
} from '../../../firmware-bridge/link/index.js';
import { asHildaError } from '../../core/errors.js';
import { withSerialFaults } from '../../faults/edges/serial.js';
import type { BoardProfile } from './board-profile.js';
import { nonce } from './emulated-driver.js';
import { mayLeadTo, type PortFacts } from './port-identity.js';

export interface RunningBoards {
  readonly boards: readonly { readonly path: string; readonly buildHash: string }[];
  /** Ports that may lead to one, and that another program holds. */
  readonly held: readonly string[];
}

export interface PortAccess {
  readonly listPorts?: () => Promise<readonly PortFacts[]>;
  readonly openPort?: (options: SerialOptions) => Promise<Transport>;
  /** A multiple of the time-outs, for emulators behind ports; 1 by default. */
  readonly patience?: number;
}

/** Asks every port that may lead to a board of this kind. Ports that say nothing or something else are passed over. */
export async function findRunning(profile: BoardProfile, access: PortAccess): Promise<RunningBoards> {
  const { listPorts = listSerialPorts } = access;
  const boards: { path: string; buildHash: string }[] = [];
  const held: string[] = [];
  for (const port of await listPorts()) {
    if (!mayLeadTo(profile, port)) continue;
    try {
      const { board, buildHash } = await withBoard(
        profile,
        port.path,
        access,
        async (session) => session.board,
      );
      if (board === profile.board) boards.push({ path: port.path, buildHash });
    } catch (thrown) {
      if (asHildaError(thrown).code === 'DEVICE_BUSY') held.push(port.path);
    }
  }
  return { boards, held };
}

/** False where the firmware at the port has no way into the boot loader. Throws DEVICE_FAILED where nothing answers. */
export async function enterLoader(profile: BoardProfile, path: string, access: PortAccess): Promise<boolean> {
  try {
    await withBoard(profile, path, access, (session) => session.enterLoader({ signal: never }));
    return true;
  } catch (thrown) {
    if (asHildaError(thrown).code === 'STATE_CONFLICT') return false;
    throw thrown;
  }
}

const { signal: never } = new AbortController();

async function withBoard<T>(
  { baud, lines }: BoardProfile,
  path: string,
  { openPort = openSerial, patience = 1 }: PortAccess,
  work: (session: BoardSession) => Promise<T>,
): Promise<T> {
  const transport = await withSerialFaults(path, () => openPort({ path, baud, lines }));
  const session = new BoardSession({ transport, nonce, baud, patience });
  try {
    await session.hello({ signal: never });
    return await work(session);
  } finally {
    await session.close().catch(() => {});
  }
}
