import { qemuProgram } from '../../../firmware-bridge/emulator/qemu-board.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { BoardProfile } from './board-profile.js';
import { examinePort } from './doctor-port.js';
import type { Finding, SystemProbe } from './doctor-probe.js';
import { systemProbe } from './system-probe.js';
import { udevRulesPath } from './udev-rules.js';

/** Why boards are not seen, and what to do about it. */
export async function examine(
  profiles: ReadonlyMap<string, BoardProfile>,
  { signal }: { readonly signal: AbortSignal },
  probe: SystemProbe = systemProbe,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const add = (level: Finding['level'], what: string, remedy = ''): void => {
    findings.push({ level, what, remedy });
  };
  if (probe.hasQemu()) add('ok', `${qemuProgram} is installed`);
  else
    add(
      'advice',
      `${qemuProgram} is not installed: the emulated Cortex-M3 to M55 are missing`,
      'apt-get install qemu-system-arm',
    );

  const boards = [...profiles.values()].filter(({ usb }) => usb.length > 0);
  const listed = await probe.listPorts().catch((thrown: unknown) => asHildaError(thrown));
  if (listed instanceof HildaError) {
    add('fault', `boards on serial ports cannot be used: ${listed.message}`, listed.hint);
    return findings;
  }
  const ours = listed.filter((port) =>
    boards.some(({ usb }) => usb.some(({ vendorId }) => vendorId === port.vendorId?.toLowerCase())),
  );
  if (ours.length === 0)
    add(
      'advice',
      'no serial port of a known board or adapter is plugged in',
      'Plug a board in; `lsusb` should list it.',
    );
  if (ours.length > 0 && probe.processes().some((name) => name === 'ModemManager')) {
    const remedy = probe.hasUdevRules()
      ? 'The udev rules tell it to leave boards alone: unplug and plug the board in again.'
      : `systemctl disable --now ModemManager, or install the rules: hilda doctor --udev | sudo tee ${udevRulesPath}`;
    add(
      probe.hasUdevRules() ? 'advice' : 'fault',
      'ModemManager runs: it talks to every new serial port for half a minute',
      remedy,
    );
  }
  for (const port of ours) await examinePort(port, boards, probe, signal, add);
  return findings;
}
