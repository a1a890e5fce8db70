import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { SerialPort } from 'serialport';
import { findQemu, qemuProgram } from '../../../firmware-bridge/emulator/qemu-board.js';
import { BoardSession, openSerial } from '../../../firmware-bridge/link/index.js';
import { systemClock } from '../../core/clock.js';
import { asHildaError } from '../../core/errors.js';
import type { BoardProfile } from './board-profile.js';
import { nonce } from './emulated-driver.js';
import type { PortFacts } from './port-identity.js';

export interface Finding {
  readonly level: 'ok' | 'advice' | 'fault';
  readonly what: string;
  /** What to do; empty when nothing is. */
  readonly remedy: string;
}

/** What the doctor looks at; tests bring their own patient. */
export interface Patient {
  listPorts(): Promise<readonly PortFacts[]>;
  /** Whether this process may read and write the port, and the group that may. */
  access(path: string): { readonly allowed: boolean; readonly group: string | null };
  /** Names of running processes. */
  processes(): readonly string[];
  hasUdevRules(): boolean;
  hasQemu(): boolean;
  /** The board that answers on a port at a baud rate, or the code of what stands in the way. */
  ask(
    path: string,
    baud: number,
    signal: AbortSignal,
  ): Promise<{ readonly board: string } | { readonly code: string }>;
}

const otherBauds = [9600, 57_600, 115_200, 230_400, 460_800, 921_600];
export const udevRulesPath = '/etc/udev/rules.d/70-hilda.rules';

/** Why boards are not seen, and what to do about it. */
export async function examine(
  profiles: ReadonlyMap<string, BoardProfile>,
  { signal }: { readonly signal: AbortSignal },
  patient: Patient = systemPatient,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const add = (level: Finding['level'], what: string, remedy = ''): void => {
    findings.push({ level, what, remedy });
  };
  if (patient.hasQemu()) add('ok', `${qemuProgram} is installed`);
  else
    add(
      'advice',
      `${qemuProgram} is not installed: the emulated Cortex-M3 to M55 are missing`,
      'apt-get install qemu-system-arm',
    );

  const boards = [...profiles.values()].filter(({ usb }) => usb.length > 0);
  const ours = (await patient.listPorts()).filter((port) =>
    boards.some(({ usb }) => usb.some(({ vendorId }) => vendorId === port.vendorId?.toLowerCase())),
  );
  if (ours.length === 0)
    add(
      'advice',
      'no serial port of a known board or adapter is plugged in',
      'Plug a board in; `lsusb` should list it.',
    );
  if (ours.length > 0 && patient.processes().some((name) => name === 'ModemManager')) {
    const remedy = patient.hasUdevRules()
      ? 'The udev rules tell it to leave boards alone: unplug and plug the board in again.'
      : `systemctl disable --now ModemManager, or install the rules: hilda doctor --udev | sudo tee ${udevRulesPath}`;
    add(
      patient.hasUdevRules() ? 'advice' : 'fault',
      'ModemManager runs: it talks to every new serial port for half a minute',
      remedy,
    );
  }
  for (const port of ours) await examinePort(port, boards, patient, signal, add);
  return findings;
}

async function examinePort(
  port: PortFacts,
  boards: readonly BoardProfile[],
  patient: Patient,
  signal: AbortSignal,
  add: (level: Finding['level'], what: string, remedy?: string) => void,
): Promise<void> {
  const { path } = port;
  const { allowed, group } = patient.access(path);
  if (!allowed) {
    const join = group ? `sudo usermod -aG ${group} $USER, then log in again` : '';
    const rules = `hilda doctor --udev | sudo tee ${udevRulesPath} && sudo udevadm control --reload && sudo udevadm trigger`;
    add('fault', `${path}: this user may not open it${group ? ` (group ${group} may)` : ''}`, join || rules);
    return;
  }
  const bauds = [...new Set(boards.map(({ baud }) => baud))];
  for (const baud of [...bauds, ...otherBauds.filter((other) => !bauds.includes(other))]) {
    signal.throwIfAborted();
    const answer = await patient.ask(path, baud, signal);
    if ('board' in answer) {
      if (bauds.includes(baud)) add('ok', `${path}: ${answer.board} answers at ${baud} baud`);
      else
        add(
          'fault',
          `${path}: ${answer.board} answers at ${baud} baud`,
          `Set "baud": ${baud} in profiles/boards/${answer.board}.json.`,
        );
      return;
    }
    if (answer.code === 'DEVICE_BUSY') {
      add(
        'advice',
        `${path}: another program uses it`,
        'If that is not a running daemon: close the serial monitor.',
      );
      return;
    }
    if (answer.code === 'FIRMWARE_MISMATCH') {
      add(
        'fault',
        `${path}: its firmware is of another version of hilda`,
        'Flash the board again: hilda devices flash BOARD.',
      );
      return;
    }
  }
  add(
    'advice',
    `${path}: nothing of hilda's answers at any baud rate`,
    'Flash the board: hilda devices flash BOARD.',
  );
}

/** Rules that let every user open the ports of known boards and keep ModemManager away from them. */
export function udevRules(profiles: ReadonlyMap<string, BoardProfile>): string {
  const vendors = new Set([...profiles.values()].flatMap(({ usb }) => usb.map(({ vendorId }) => vendorId)));
  const rules = [...vendors]
    .sort()
    .map(
      (vendor) =>
        `SUBSYSTEM=="tty", ATTRS{idVendor}=="${vendor}", MODE="0666", ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"`,
    );
  return ['# Serial ports of boards that hilda knows.', ...rules].join('\n');
}

const systemPatient: Patient = {
  listPorts: () => SerialPort.list(),
  access: (path) => {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
      return { allowed: true, group: null };
    } catch {
      return { allowed: false, group: groupOf(path) };
    }
  },
  processes: () => {
    try {
      return readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .flatMap((id) => {
          try {
            return [readFileSync(`/proc/${id}/comm`, 'utf8').trim()];
          } catch {
            return [];
          }
        });
    } catch {
      return [];
    }
  },
  hasUdevRules: () => existsSync(udevRulesPath),
  hasQemu: () => findQemu() !== null,
  ask: async (path, baud, signal) => {
    try {
      const transport = await openSerial({ path, baud });
      const session = new BoardSession({ transport, clock: systemClock, nonce, baud });
      try {
        return { board: (await session.hello({ signal })).board };
      } finally {
        await session.close();
      }
    } catch (thrown) {
      return { code: asHildaError(thrown).code };
    }
  },
};

function groupOf(path: string): string | null {
  try {
    const { gid } = statSync(path);
    const line = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((entry) => entry.split(':')[2] === String(gid));
    return line?.split(':')[0] ?? null;
  } catch {
    return null;
  }
}
