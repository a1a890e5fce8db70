import { loadSerialPort } from '../../../firmware-bridge/link/index.js';
import type { Driver } from '../contract.js';
import { MlperfTinyDriver } from './mlperf-tiny/driver.js';
import { PortTurns } from './port-turns.js';
import { SerialDriver, type SerialDriverOptions } from './serial-driver.js';

/** Drivers of boards on serial ports; they take turns at the ports. Throws DEVICE_FAILED where no port can be opened here. */
export async function openSerialDrivers(options: SerialDriverOptions): Promise<readonly Driver[]> {
  await loadSerialPort();
  const { openPort: _, ...ports } = { turns: new PortTurns(), ...options };
  return [new SerialDriver({ ...options, turns: ports.turns }), new MlperfTinyDriver(ports)];
}
