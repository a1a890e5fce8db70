import { AdbDriver } from './adb/driver.js';
import type { AdbDriverOptions } from './adb/options.js';
import { AgentDriver } from './agent/driver.js';
import type { AgentHub } from './agent/hub.js';
import { BrowserDriver, type BrowserDriverOptions } from './browser/driver.js';
import type { Driver } from './contract.js';
import { EmulatedDriver, type EmulatedDriverOptions } from './mcu/emulated-driver.js';
import { MlperfTinyDriver } from './mcu/mlperf-tiny/driver.js';
import { PortTurns } from './mcu/port-turns.js';
import { SerialDriver, type SerialDriverOptions } from './mcu/serial-driver.js';
import { gpuProviders, OnnxRuntimeDriver, type OnnxRuntimeDriverOptions } from './onnxruntime/driver.js';

export interface DriverOptions {
  readonly onnxruntime?: OnnxRuntimeDriverOptions;
  /** Left out where no page can join. */
  readonly browser?: BrowserDriverOptions;
  /** Left out where no phone is looked for. */
  readonly adb?: AdbDriverOptions;
  /** Left out where no agent can join. */
  readonly agents?: AgentHub;
  readonly emulator?: EmulatedDriverOptions;
  readonly mcu?: SerialDriverOptions;
  /** Drivers beside the shipped ones, e.g. a fake. */
  readonly others?: readonly Driver[];
}

/** Every driver that the daemon starts with. The fake is none of them: callers that want one pass it in. */
export function createDrivers({
  onnxruntime = {},
  browser,
  adb,
  agents,
  emulator = {},
  mcu = {},
  others = [],
}: DriverOptions = {}): Driver[] {
  const { openPort: _, ...ports } = { turns: new PortTurns(), ...mcu };
  return [
    new OnnxRuntimeDriver(onnxruntime),
    ...gpuProviders.map((provider) => new OnnxRuntimeDriver({ provider, ifPresent: true })),
    ...(browser ? [new BrowserDriver(browser)] : []),
    ...(adb ? [new AdbDriver(adb)] : []),
    ...(agents ? [new AgentDriver(agents)] : []),
    new EmulatedDriver(emulator),
    new SerialDriver({ ...mcu, turns: ports.turns }),
    new MlperfTinyDriver(ports),
    ...others,
  ];
}
