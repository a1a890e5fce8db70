import type { SerialPort } from 'serialport';
import { HildaError } from '../../../daemon/core/errors.js';

/** The native module, loaded at its first use: what needs no serial port works without it. Throws DEVICE_FAILED. */
export async function loadSerialPort(): Promise<typeof SerialPort> {
  try {
    return (await import('serialport')).SerialPort;
  } catch (cause) {
    const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new HildaError('DEVICE_FAILED', `the native module serialport does not load: ${line}`, {
      cause,
      hint: 'Run npm run setup: it installs the modules for this version of Node.js.',
    });
  }
}

/** The serial ports of this machine. Throws DEVICE_FAILED where the native module does not load. */
export const listSerialPorts = async (): ReturnType<(typeof SerialPort)['list']> =>
  (await loadSerialPort()).list();
