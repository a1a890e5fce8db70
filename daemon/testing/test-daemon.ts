import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tokenFile } from '../access/local-token.js';
import { DaemonClient } from '../api/client.js';
import { systemClock } from '../core/clock.js';
import type { Driver } from '../devices/contract.js';
import type { FaultPlanInput } from '../faults/fault-plan.js';
import { Switchboard } from '../faults/switchboard.js';
import type { PluginSettings } from '../plugins/read-settings.js';
import { Daemon } from '../process/daemon.js';
import { virtualFleet } from './virtual-fleet.js';

export interface TestDaemonOptions {
  /** Its only devices, beside those of plug-ins; a virtual fleet of one by default. */
  readonly drivers?: readonly Driver[];
  readonly plugins?: PluginSettings;
  /** Its data folder, which stays once it stops; a temporary one by default. */
  readonly dataDir?: string;
  /** Faults to inject: a plan, or a switchboard whose rules the test changes as it goes. */
  readonly faults?: FaultPlanInput | Switchboard;
}

export interface TestDaemon {
  readonly url: string;
  readonly client: DaemonClient;
  /** Stops it, and removes its temporary folder. */
  stop(): Promise<void>;
}

/** A whole daemon on a free port and a temporary folder, which looks at no hardware of this machine. */
export async function startTestDaemon({
  drivers = [virtualFleet(1)],
  plugins = { plugins: [], folders: [] },
  faults,
  dataDir: given,
}: TestDaemonOptions = {}): Promise<TestDaemon> {
  const dataDir = given ?? (await mkdtemp(join(tmpdir(), 'hilda-test-')));
  const daemon = new Daemon({
    dataDir,
    port: 0,
    clock: systemClock,
    drivers,
    plugins,
    shippedDrivers: false,
    ...(faults && { faults: faults instanceof Switchboard ? faults : new Switchboard(faults) }),
  });
  const removeData = async (): Promise<void> => {
    if (given === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    const url = await daemon.start(new AbortController().signal);
    return {
      url,
      client: new DaemonClient(url, { token: (await readFile(join(dataDir, tokenFile), 'utf8')).trim() }),
      stop: async () => {
        await daemon.stop();
        await removeData();
      },
    };
  } catch (error) {
    await removeData();
    throw error;
  }
}
