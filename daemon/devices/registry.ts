import { HildaError } from '../core/errors.js';
import type { AdbDriverOptions } from './adb/options.js';
import type { AgentHub } from './agent/hub.js';
import type { BrowserDriverOptions } from './browser/driver.js';
import type { Driver } from './contract.js';
import type { EmulatedDriverOptions } from './mcu/emulated-driver.js';
import type { SerialDriverOptions } from './mcu/serial-driver.js';
import type { OnnxRuntimeDriverOptions } from './onnxruntime/driver.js';

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
}

/** A kind of device whose code does not load here, e.g. because a native module is missing. */
export interface UnusableKind {
  readonly kind: string;
  /** What stands in the way and what to do. */
  readonly obstacle: string;
}

export interface OpenedDrivers {
  readonly drivers: readonly Driver[];
  readonly unusable: readonly UnusableKind[];
}

/** One line a kind: what loads its code and makes its drivers; none where the options leave it out. */
const kinds: Readonly<Record<string, (options: DriverOptions) => Promise<readonly Driver[]>>> = {
  onnxruntime: async ({ onnxruntime = {} }) => {
    const { gpuProviders, OnnxRuntimeDriver } = await import('./onnxruntime/driver.js');
    return [
      new OnnxRuntimeDriver(onnxruntime),
      ...gpuProviders.map((provider) => new OnnxRuntimeDriver({ provider, ifPresent: true })),
    ];
  },
  browser: async ({ browser }) =>
    browser ? [new (await import('./browser/driver.js')).BrowserDriver(browser)] : [],
  adb: async ({ adb }) => (adb ? [new (await import('./adb/driver.js')).AdbDriver(adb)] : []),
  agent: async ({ agents }) => (agents ? [new (await import('./agent/driver.js')).AgentDriver(agents)] : []),
  emulator: async ({ emulator = {} }) => [
    new (await import('./mcu/emulated-driver.js')).EmulatedDriver(emulator),
  ],
  mcu: async ({ mcu = {} }) => {
    const { openSerialDrivers } = await import('./mcu/open-serial-drivers.js');
    return openSerialDrivers(mcu);
  },
};

/** Names that no other driver may have: the kinds, those that come with `mcu` and the tests, and words that ids begin with. */
export const deviceKinds: readonly string[] = [
  ...Object.keys(kinds),
  'mlperf-tiny',
  'fake',
  'virtual',
  'cpu',
  'gpu',
  'emulated',
];

/**
 * Every driver that the daemon starts with, in the order of the table. A kind whose code does not load is left out, with the
 * reason; the others are there all the same. The fake is none of them: callers that want one pass it in.
 */
export async function openDrivers(options: DriverOptions = {}): Promise<OpenedDrivers> {
  const drivers: Driver[] = [];
  const unusable: UnusableKind[] = [];
  for (const [kind, open] of Object.entries(kinds))
    try {
      drivers.push(...(await open(options)));
    } catch (thrown) {
      unusable.push({ kind, obstacle: obstacleOf(thrown) });
    }
  return { drivers, unusable };
}

/** The first line alone: Node goes on with the modules that asked for it. */
function obstacleOf(thrown: unknown): string {
  if (thrown instanceof HildaError) return `${thrown.message}. ${thrown.hint}`;
  const [line = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n');
  return `Its code does not load: ${line.replace(/\.$/, '')}. Run npm run setup.`;
}
