import type { BoardProfile } from './board-profile.js';
import type { Finding, SystemProbe } from './doctor-probe.js';
import type { PortFacts } from './port-identity.js';
import { udevRulesPath } from './udev-rules.js';

const otherBauds = [9600, 57_600, 115_200, 230_400, 460_800, 921_600];
/** Of MLPerf Tiny's reference firmware, built for performance and for energy measurement. */
const mlperfTinyBauds = { performance: 115_200, energy: 9600 } as const;

/** Which firmware answers on a port, of those that hilda knows, or why none does. */
export async function examinePort(
  port: PortFacts,
  boards: readonly BoardProfile[],
  probe: SystemProbe,
  signal: AbortSignal,
  add: (level: Finding['level'], what: string, remedy?: string) => void,
): Promise<void> {
  const { path } = port;
  const { allowed, group } = probe.access(path);
  if (!allowed) {
    const join = group ? `sudo usermod -aG ${group} $USER, then log in again` : '';
    const rules = `hilda doctor --udev | sudo tee ${udevRulesPath} && sudo udevadm control --reload && sudo udevadm trigger`;
    add('fault', `${path}: this user may not open it${group ? ` (group ${group} may)` : ''}`, join || rules);
    return;
  }
  const bauds = [...new Set(boards.map(({ baud }) => baud))];
  const asHilda = async (baud: number): Promise<boolean> => {
    signal.throwIfAborted();
    const answer = await probe.ask(path, baud, signal);
    if ('board' in answer) {
      if (bauds.includes(baud)) add('ok', `${path}: ${answer.board} answers at ${baud} baud`);
      else
        add(
          'fault',
          `${path}: ${answer.board} answers at ${baud} baud`,
          `Set "baud": ${baud} in profiles/boards/${answer.board}.json.`,
        );
      return true;
    }
    if (answer.code === 'DEVICE_BUSY') {
      add(
        'advice',
        `${path}: another program uses it`,
        'If that is not a running daemon: close the serial monitor.',
      );
      return true;
    }
    if (answer.code === 'FIRMWARE_MISMATCH') {
      add(
        'fault',
        `${path}: its firmware is of another version of hilda`,
        'Flash the board again: hilda devices flash BOARD.',
      );
      return true;
    }
    return false;
  };
  const said: string[] = [];
  const asMlperfTiny = async (baud: number): Promise<boolean> => {
    signal.throwIfAborted();
    const answer = await probe.askMlperfTiny(path, baud, signal);
    if ('name' in answer) {
      const energy = baud === mlperfTinyBauds.energy;
      add(
        energy ? 'advice' : 'ok',
        `${path}: MLPerf Tiny firmware answers at ${baud} baud: ${answer.name} with ${answer.model}`,
        energy
          ? 'It is built for energy measurement and gives no times: build it for performance (115200 baud).'
          : '',
      );
      return true;
    }
    if (answer.said) said.push(answer.said);
    return false;
  };
  for (const baud of bauds) if (await asHilda(baud)) return;
  // Before the rates that boards seldom have: a vendor's firmware is likelier.
  if (await asMlperfTiny(mlperfTinyBauds.performance)) return;
  for (const baud of otherBauds) if (!bauds.includes(baud) && (await asHilda(baud))) return;
  if (await asMlperfTiny(mlperfTinyBauds.energy)) return;
  if (said.length > 0)
    add(
      'advice',
      `${path}: a firmware that hilda does not know says "${said[0]?.slice(0, 60)}"`,
      "To measure on this board, it needs hilda's firmware or MLPerf Tiny's. Flashing replaces what is on it now.",
    );
  else
    add(
      'advice',
      `${path}: nothing answers at any baud rate, neither hilda's firmware nor MLPerf Tiny's`,
      'Reset the board and look again. If nothing on it is needed any more: hilda devices flash BOARD.',
    );
}
