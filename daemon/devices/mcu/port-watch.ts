import { readdir } from 'node:fs/promises';
import { listSerialPorts } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import { type PortFacts, portIdentity } from './port-identity.js';

/** How often the system's ports are listed unless somebody says otherwise. */
export const defaultPortsMs = 2000;

export interface PortWatchOptions {
  /** The ports in place of the system's. */
  readonly listPorts?: (() => Promise<readonly PortFacts[]>) | undefined;
  readonly clock: Clock;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  readonly onChange: () => void;
}

/**
 * Calls back when serial ports come or go, until the signal aborts; once more a little later, as a board that was just
 * plugged in may not speak yet. The system tells of no changes on its own: its ports are looked at now and then.
 */
export async function watchPorts({
  clock,
  everyMs,
  signal,
  onChange,
  ...of
}: PortWatchOptions): Promise<void> {
  let booting = false;
  for (let before = await portsNow(of); ; ) {
    await clock.sleep(everyMs, { signal });
    const now = await portsNow(of);
    if (now !== before || booting) onChange();
    booting = now !== before;
    before = now;
  }
}

/**
 * Of the ports that are there, enough to see a change. Where ports are files their names do: asking the system for more
 * starts a process each time (udevadm), beside what is being timed.
 */
async function portsNow({ listPorts }: Pick<PortWatchOptions, 'listPorts'>): Promise<string> {
  if (!listPorts && process.platform !== 'win32') {
    const names = await readdir('/dev').catch(() => []);
    return names
      .filter((name) => /^(tty(ACM|USB)|cu\.)/.test(name))
      .sort()
      .join();
  }
  const ports = await (listPorts ?? listSerialPorts)();
  return ports
    .map((port) => `${portIdentity(port)} ${port.path}`)
    .sort()
    .join();
}
