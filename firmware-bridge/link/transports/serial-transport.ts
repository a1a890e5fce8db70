import { type Clock, systemClock } from '../../../daemon/core/clock.js';
import { HildaError } from '../../../daemon/core/errors.js';
import { loadSerialPort } from './serial-ports.js';
import type { Transport } from './transport.js';

/** State of the two control lines while a board runs, and how they restart it. Many boards hang their reset on one. */
export interface ControlLines {
  readonly dtr: boolean;
  readonly rts: boolean;
  /** Line that is pulled for `resetMs` to restart the board; none when the lines cannot. */
  readonly resetBy?: 'dtr' | 'rts' | undefined;
  readonly resetMs?: number | undefined;
}

export interface SerialOptions {
  readonly path: string;
  readonly baud: number;
  readonly lines?: ControlLines | undefined;
  readonly clock?: Clock;
}

/**
 * Opens a serial port for this process alone. Throws DEVICE_BUSY when another process holds it, DEVICE_FAILED with what
 * to do otherwise.
 */
export async function openSerial({
  path,
  baud,
  lines,
  clock = systemClock,
}: SerialOptions): Promise<Transport> {
  const SerialPort = await loadSerialPort();
  const port = new SerialPort({ path, baudRate: baud, lock: true, hupcl: false, autoOpen: false });
  await new Promise<void>((resolve, reject) => {
    port.open((cause) => (cause ? reject(explain(path, cause)) : resolve()));
  });
  const control = async (state: { dtr: boolean; rts: boolean }): Promise<void> => {
    await new Promise<void>((resolve) => {
      // A pseudo-terminal has no control lines, and that is no fault.
      port.set(state, () => resolve());
    });
  };
  if (lines) await control({ dtr: lines.dtr, rts: lines.rts });
  let closed = false;
  const gone = (): HildaError =>
    new HildaError('DEVICE_FAILED', `the serial port ${path} is gone`, {
      hint: 'Plug the board in again; it is taken up by itself.',
    });
  return {
    name: path,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (!port.isOpen) {
          reject(gone());
          return;
        }
        port.write(bytes, (cause) => cause && reject(explain(path, cause)));
        port.drain((cause) => (cause ? reject(explain(path, cause)) : resolve()));
      }),
    onBytes: (listener) => {
      port.removeAllListeners('data');
      port.on('data', listener);
    },
    onClose: (listener) => {
      port.removeAllListeners('close');
      port.removeAllListeners('error');
      const tell = (reason: string): void => {
        if (!closed) listener(reason);
      };
      port.on('close', (cause: Error | null) => tell(cause?.message ?? 'the port closed'));
      port.on('error', (cause) => tell(cause.message));
    },
    ...(lines?.resetBy && {
      restart: async () => {
        const { resetBy, resetMs = 50, dtr, rts } = lines;
        const idle = { dtr, rts };
        await control({ ...idle, [resetBy as string]: !idle[resetBy as 'dtr' | 'rts'] });
        await clock.sleep(resetMs);
        await control(idle);
      },
    }),
    close: async () => {
      closed = true;
      if (port.isOpen) await new Promise<void>((resolve) => port.close(() => resolve()));
    },
  };
}

function explain(path: string, cause: Error): HildaError {
  const text = cause.message;
  if (/lock|temporarily unavailable|EBUSY|busy/i.test(text)) {
    return new HildaError('DEVICE_BUSY', `another program uses the serial port ${path}`, { cause });
  }
  if (/permission|EACCES|access denied/i.test(text)) {
    return new HildaError('DEVICE_FAILED', `this user may not open the serial port ${path}`, {
      cause,
      hint: 'Run `hilda doctor`: it names the group to join or the udev rule to install.',
    });
  }
  return new HildaError('DEVICE_FAILED', `the serial port ${path}: ${text}`, { cause });
}
