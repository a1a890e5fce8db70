import { qemuProgram } from '../../../firmware-bridge/emulator/qemu-board.js';
import type { BoardProfile } from './board-profile.js';
import { examinePort } from './doctor-port.js';
import type { Identity } from './mlperf-tiny/protocol.js';
import type { PortFacts } from './port-identity.js';
import { systemPatient } from './system-patient.js';
import { udevRulesPath } from './udev-rules.js';

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
  /** The MLPerf Tiny firmware that answers there, or what the port says instead; empty where it is silent. */
  askMlperfTiny(
    path: string,
    baud: number,
    signal: AbortSignal,
  ): Promise<Identity | { readonly said: string }>;
}

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
