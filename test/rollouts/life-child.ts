/** A daemon over boards on paper, killed at any moment. It says where it is once it is up. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenFile } from '../../daemon/access/local-token.js';
import { systemClock } from '../../daemon/core/clock.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { FlashDriver, type FlashDriverOptions } from './flash-driver.js';

export interface LifeOrder {
  readonly dataDir: string;
  readonly flash: FlashDriverOptions;
}
export interface LifeIsUp {
  readonly url: string;
  readonly token: string;
}

process.once('message', async ({ dataDir, flash }: LifeOrder) => {
  const daemon = new Daemon({
    dataDir,
    port: 0,
    clock: systemClock,
    drivers: [new FlashDriver(flash)],
    shippedDrivers: false,
  });
  const url = await daemon.start(new AbortController().signal);
  const token = (await readFile(join(dataDir, tokenFile), 'utf8')).trim();
  process.send?.({ url, token } satisfies LifeIsUp);
});
