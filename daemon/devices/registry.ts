import type { Driver } from './contract.js';
import { EmulatedDriver, type EmulatedDriverOptions } from './mcu/emulated-driver.js';
import { MlperfTinyDriver } from './mcu/mlperf-tiny/driver.js';
import { SerialDriver, type SerialDriverOptions } from './mcu/serial-driver.js';
import { OnnxRuntimeDriver, type OnnxRuntimeDriverOptions } from './onnxruntime/driver.js';

export interface DriverOptions {
  readonly onnxruntime?: OnnxRuntimeDriverOptions;
  readonly emulator?: EmulatedDriverOptions;
  readonly mcu?: SerialDriverOptions;
  /** Drivers beside the shipped ones, e.g. a fake. */
  readonly others?: readonly Driver[];
}

/** Every driver that the daemon starts with. The fake is none of them: whoever wants one passes it in. */
export function createDrivers({
  onnxruntime = {},
  emulator = {},
  mcu = {},
  others = [],
}: DriverOptions = {}): Driver[] {
  return [
    new OnnxRuntimeDriver(onnxruntime),
    new EmulatedDriver(emulator),
    new SerialDriver(mcu),
    new MlperfTinyDriver(mcu),
    ...others,
  ];
}
