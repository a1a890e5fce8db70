/**
 * An agent with one fake device, in a process of its own that a test may kill: `agent-child URL DATA [TOKEN]`. Each
 * event is one JSON line on stdout.
 */

import { Agent } from '../../daemon/agent/agent.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { connectWs } from '../../daemon/process/connect-ws.js';

const [url = '', dataDir = '', token] = process.argv.slice(2);
const say = (event: string, details: object): void =>
  void process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
const agent = new Agent({
  name: dataDir.split('/').at(-1) ?? 'agent',
  dataDir,
  drivers: [new FakeDriver({ delayMs: 20 })],
  clock: systemClock,
  retry: { firstMs: 20, mostMs: 100 },
  ...(token !== undefined && { token }),
  connect: ({ signal }) => connectWs(url, { signal }),
  onEvent: say,
});
try {
  await agent.run(new AbortController().signal);
} catch (thrown) {
  say('ended', { code: asHildaError(thrown).code });
  process.exit(asHildaError(thrown).exitCode);
}
