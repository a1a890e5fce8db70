import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { findQemu } from '../../../firmware-bridge/emulator/qemu-board.js';
import { BoardSession, listSerialPorts, openSerial } from '../../../firmware-bridge/link/index.js';
import { systemClock } from '../../core/clock.js';
import { asHildaError } from '../../core/errors.js';
import type { SystemProbe } from './doctor-probe.js';
import { nonce } from './emulated-driver.js';
import { MlperfTinyLine } from './mlperf-tiny/protocol.js';
import { udevRulesPath } from './udev-rules.js';

/** This machine, as the doctor looks at it. */
export const systemProbe: SystemProbe = {
  listPorts: listSerialPorts,
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
  askMlperfTiny: async (path, baud, signal) => {
    let line: MlperfTinyLine | undefined;
    try {
      line = new MlperfTinyLine(await openSerial({ path, baud }), systemClock);
      return await line.identify({ signal });
    } catch {
      signal.throwIfAborted();
      return { said: printable(line?.heard ?? '') };
    } finally {
      await line?.close();
    }
  },
};

/** Empty where it is noise, e.g. text at another baud rate. */
function printable(text: string): string {
  const shown = text.replace(/[^ -~]/g, '').trim();
  return shown.length >= 8 && shown.length >= 0.9 * text.length ? shown : '';
}

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
