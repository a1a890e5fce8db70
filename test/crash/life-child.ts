/** Daemons side by side, each with a folder of its own: they wait for their scenes, do them, and end. Killed at any moment. */
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenFile } from '../../daemon/access/local-token.js';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { DeployingDriver } from './deploying-driver.js';
import type { LifeMessage } from './lives.js';
import { perform, type Scene } from './scenes.js';

const { signal } = new AbortController();
setMaxListeners(0, signal);
const say = (message: LifeMessage): void => void process.send?.(message);

async function live(scene: Scene, which: number): Promise<void> {
  const daemon = new Daemon({
    dataDir: scene.dataDir,
    port: 0,
    clock: systemClock,
    drivers: [new DeployingDriver(4)],
    shippedDrivers: false,
  });
  const url = await daemon.start(signal);
  say({ is: 'up', which });
  const token = (await readFile(join(scene.dataDir, tokenFile), 'utf8')).trim();
  const client = new DaemonClient(url, { token });
  for (const { id, state } of await client.devices({ signal }))
    if (state === 'sighted') await client.adopt(id, { signal });
  const post = async (path: string, body: object, key: string): Promise<{ readonly id: string }> => {
    const response = await fetch(`${url}/v1${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        'idempotency-key': key,
      },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { readonly id: string };
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  await perform(scene, { client, post, say: (what) => say({ is: 'told', which, what }), signal });
  await daemon.stop();
  say({ is: 'over', which });
}

process.once('message', (scenes: readonly Scene[]) => {
  const lives = scenes.map((scene, which) =>
    live(scene, which).catch((thrown: unknown) => {
      const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      say({ is: 'failed', which, why });
    }),
  );
  // A daemon that failed while it started may hold the process.
  void Promise.all(lives).then(() => process.disconnect());
});
say({ is: 'ready' });
