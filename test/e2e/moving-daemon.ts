/**
 * Run in a network namespace of its own, as root: `moving-daemon FOLDER`. A daemon with an agent and a page whose machine gets
 * a new interface, then loses its first address. Prints what it saw as one JSON line.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Agent } from '../../daemon/agent/agent.js';
import { KnownDaemonFile } from '../../daemon/agent/known-daemon.js';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { thisMachine } from '../../daemon/devices/own-machine.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { DaemonDialer } from '../../daemon/process/dial-daemon.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { chromiumPath, quietFlags } from '../devices/chromium.js';

const [folder = ''] = process.argv.slice(2);
const port = 4381;
const clock = systemClock;
const life = new AbortController();
const { signal } = life;

const ip = (...args: string[]): void => void execFileSync('ip', args);
/** An interface as container engines make one. */
function interfaceWith(name: string, address: string): void {
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-peer`);
  ip('address', 'add', `${address}/24`, 'dev', name);
  ip('link', 'set', name, 'up');
  ip('link', 'set', `${name}-peer`, 'up');
}

async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  for (let i = 0; i < 1200; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await clock.sleep(100);
  }
  throw new Error(`never: ${what}`);
}

async function startDaemon(): Promise<{ daemon: Daemon; client: DaemonClient }> {
  const daemon = new Daemon({ dataDir: join(folder, 'daemon'), port: 0, clock, lan: { https: port } });
  return { daemon, client: new DaemonClient(await daemon.start(signal)) };
}

interface Seen {
  readonly id: string;
  readonly host: string | null;
  readonly kind: string;
}

const present = (client: DaemonClient, kind: string): Promise<Seen> =>
  until(
    async () => (await client.devices({ signal })).find((device) => device.kind === kind && device.present),
    `a device of the kind ${kind}`,
  );

ip('link', 'set', 'lo', 'up');
interfaceWith('lan', '10.77.0.2');
let { daemon, client } = await startDaemon();

const invitation = await client.invite('agent', { signal });
const [address] = invitation.addresses;
const events: { readonly event: string; readonly id?: unknown }[] = [];
const memory = new KnownDaemonFile(join(folder, 'agent'));
const dialer = new DaemonDialer({
  given: [address?.url ?? ''],
  trust: { pin: address?.pin ?? '' },
  memory,
  onEvent: (event, details) => events.push({ event, ...details }),
});
const agent = new Agent({
  name: 'elsewhere',
  dataDir: join(folder, 'agent'),
  token: invitation.token,
  drivers: [new OnnxRuntimeDriver()],
  clock,
  boot: thisMachine().boot,
  retry: { firstMs: 100, mostMs: 200 },
  connect: (call) => dialer.connect(call),
  onAddresses: (urls) => void dialer.announced(urls),
  onEvent: (event, details) => events.push({ event, ...details }),
});
const ended = agent.run(signal);

const browser = await chromium.launchPersistentContext(join(folder, 'browser'), {
  ...(chromiumPath && { executablePath: chromiumPath }),
  headless: true,
  args: [...quietFlags, '--disable-gpu'],
});
browser.setDefaultTimeout(90_000);
const page = await browser.newPage();
const pageUrl = (await client.invite('page', { signal })).addresses[0]?.url ?? '';
// A person's way past the warning: the browser remembers the certificate, for this address alone.
await page.goto(pageUrl, { waitUntil: 'commit' }).catch(() => {});
await page.click('#details-button');
await page.click('#proceed-link');
const identity = (): Promise<string | null> => page.getByTestId('identity').textContent();
const pageBefore = await identity();
const joined = (): unknown[] => events.filter(({ event }) => event === 'joined').map(({ id }) => id);
await until(() => joined()[0], 'the agent joined');
const hosts = [
  await present(client, 'browser'),
  await present(client, 'agent'),
  await present(client, 'onnxruntime'),
];

// All at once: they share this machine's processors.
const model = (await client.uploadModel(writeOnnx(doublingNetwork()), { signal })).sha256;
const measured = await Promise.all(
  hosts.map(async ({ id, kind }) => {
    const job = await client.ended(
      await client.startMeasurement({ model, device: id, protocol: 'quick' }, { signal }),
      { signal, clock, everyMs: 50 },
    );
    const { takenAtMs = 0, durationMs = 0, verdict, reason } = job.measurement ?? {};
    return { kind, takenAtMs, durationMs, verdict, reason, problem: job.problem };
  }),
);

await daemon.stop();
interfaceWith('docker', '172.30.0.1');
({ daemon, client } = await startDaemon());
await until(() => (joined().length >= 2 ? true : undefined), 'the agent is back');
await present(client, 'agent');
await present(client, 'browser');
// Also where the page is loaded anew: the certificate that was accepted is shown there still.
await page.reload();
await page
  .getByTestId('link')
  .filter({ hasText: /Ready|Measuring/ })
  .waitFor();
const pageAfter = await identity();
const after = (await client.invite('agent', { signal })).addresses;

await daemon.stop();
ip('address', 'del', '10.77.0.2/24', 'dev', 'lan');
({ daemon, client } = await startDaemon());
await until(() => (joined().length >= 3 ? true : undefined), 'the agent found the daemon at another address');
await present(client, 'agent');

process.stdout.write(
  `${JSON.stringify({
    pins: [address?.pin, ...after.map(({ pin }) => pin)],
    addresses: after.map(({ url }) => url),
    hosts,
    measured,
    agents: joined(),
    pages: [pageBefore, pageAfter],
    last: memory.known.last,
    wrongHosts: events.filter(({ event }) => event === 'wrong-host').length,
  })}\n`,
);
await browser.close();
life.abort();
await ended.catch(() => {});
await daemon.stop();
