import t from 'tap';
import { asHildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { decodePiece } from '../../daemon/core/link/pieces.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { BrowserDriver } from '../../daemon/devices/browser/driver.js';
import { PageHub } from '../../daemon/devices/browser/hub.js';
import { PageSession } from '../../daemon/devices/browser/page-session.js';
import type { About } from '../../daemon/devices/browser/wire.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { Device } from '../../daemon/devices/contract.js';
import type { Runner } from '../../dashboard/join/src/page-world.js';
import type { WorkerRequest } from '../../dashboard/join/src/wire.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { heavyNetwork } from '../lines/heavy-network.js';
import { namedKeys } from '../lines/keys.js';
import { openPage, socketOver } from '../lines/page-in-node.js';
import { SimulatedLine } from '../lines/simulated-line.js';
import { VirtualClock } from '../lines/virtual-clock.js';
import { aPage, atRest } from './join-bench.js';

const { signal } = new AbortController();
const rng = Xoshiro128.fromSeed(11);

async function openBench(bitsPerS = 2e6, delayMs = 50) {
  const clock = new VirtualClock();
  const line = new SimulatedLine({ clock, bitsPerS, delayMs });
  const hub = new PageHub({ keys: namedKeys, clock });
  const open = (key = 'phone') =>
    openPage({ clock, connect: (events) => socketOver(line, hub, events), rng, key });
  const device = async (): Promise<Device> => {
    const driver = new BrowserDriver({ hub, clock });
    for await (const sighting of driver.discover()) return driver.open(sighting);
    throw new Error('no page is here');
  };
  /** A page that has the reference networks. */
  const calibrated = async () => {
    const page = open();
    await clock.until(() => page.shown.link === 'ready');
    let isDone = false;
    void (await device()).calibrate?.({ signal }).then(() => {
      isDone = true;
    });
    await clock.until(() => isDone);
    return { ...page, loads: page.runner.counts.loads, bytes: line.down.bytes + line.up.bytes };
  };
  return { clock, line, hub, open, device, calibrated };
}

/** One end of a line, in hand: what is said over it, and what comes by it. */
function looseLine() {
  let listener: ((message: string | Uint8Array) => void) | null = null;
  const said: (string | Uint8Array)[] = [];
  const connection: Connection = {
    peer: '192.0.2.7',
    send: (message) => void said.push(message),
    onMessage: (next) => {
      listener = next;
    },
    onClose: () => {},
    close: () => {},
    drop: () => {},
    ping: () => {},
    receivedBytes: () => said.length,
  };
  const offsets = (): number[] =>
    said.flatMap((message) => (typeof message === 'string' ? [] : [decodePiece(message).offset]));
  return { connection, offsets, hear: (message: object) => listener?.(JSON.stringify(message)) };
}

t.test('an acknowledgement that comes late by a former line moves nothing on the next one', async (t) => {
  const clock = new VirtualClock();
  const session = new PageSession('browser-1', aPage as About, {
    ...{ clock, instance: 'instance-1', state: atRest, graceMs: 180_000 },
  });
  const [first, second] = [looseLine(), looseLine()];
  session.attach(first.connection, { state: atRest, heard: 0 });
  session.deliver(new Uint8Array(1e6).fill(7), { signal }).catch(() => {});
  first.hear({ op: 'got', transfer: 1, bytes: 0 });
  t.ok(await clock.until(() => first.offsets().length > 2));
  session.attach(second.connection, { state: atRest, heard: 0 });
  await clock.pass(10);
  // Of the first transfer of either line, which carry the same content.
  first.hear({ op: 'got', transfer: 1, bytes: 2048 });
  await clock.pass(10);
  t.same(second.offsets(), [], 'nothing is sent before the page said what it has');
  second.hear({ op: 'got', transfer: 1, bytes: 6144 });
  t.equal(second.offsets()[0], 6144);
  first.hear({ op: 'got', transfer: 1, bytes: 4096 });
  await clock.pass(10);
  t.notOk(
    second.offsets().some((offset) => offset < 6144),
    'and nothing of it twice',
  );
  session.close('enough');
});

/** What a measurement came to, for the test that lets time pass. */
function outcome(measuring: Promise<Measurement>) {
  const seen: { measurement?: Measurement; code?: string } = {};
  measuring.then(
    (measurement) => {
      seen.measurement = measurement;
    },
    (thrown) => {
      seen.code = asHildaError(thrown).code;
    },
  );
  return { seen, over: () => seen.measurement !== undefined || seen.code !== undefined };
}

t.test('a cut in the transfer, in a call and in a reply: everything goes on, once', async (t) => {
  const { clock, line, hub, device, calibrated } = await openBench();
  const { runner, shown, links, loads, bytes } = await calibrated();
  const network = heavyNetwork(1e6);
  const job = outcome((await device()).measure(network, contractProtocol, { signal }));
  t.ok(await clock.until(() => line.down.bytes - bytes > 500_000));
  t.match(shown.step, /receiving .* of/);
  line.cut(25_000);
  await clock.pass(24_000);
  t.ok(links.includes('lost'), 'both ends noticed, though nobody said farewell');
  const { downMs } = hub.lineTo(hub.pages()[0]!.id as DeviceId)!;
  t.ok(downMs! > 0 && downMs! < 25_000, `and it is shown: down for ${downMs} ms`);
  t.ok(await clock.until(() => runner.counts.loads === loads + 4));
  const timed = runner.counts.timed;
  t.ok(await clock.until(() => runner.counts.timed > timed + 3));
  line.cut(120_000);
  t.ok(await clock.until(job.over, 600_000));
  t.match(job.seen, { code: undefined, measurement: { verdict: 'valid' } });
  t.equal(
    runner.counts.loads - loads,
    4,
    'calibrated, then the candidate and its reference, each loaded once',
  );
  const total = line.down.bytes + line.up.bytes - bytes;
  t.ok(total < 1.1e6, `${total} bytes for a network of 1 MB`);
  const { bytesPerS } = hub.pages()[0]!.facts;
  t.ok(bytesPerS! > 150_000 && bytesPerS! < 400_000, `${bytesPerS} bytes/s`);
  t.equal(hub.lineTo(hub.pages()[0]!.id as DeviceId)!.downMs, null, 'up');
  t.match(job.seen.measurement?.manifest.line, { bytesPerS }, 'a measurement says by which line it came');
});

t.test('a page that is away for longer than it is waited for keeps what it has', async (t) => {
  const { clock, line, hub, device, calibrated } = await openBench(256_000, 300);
  const { bytes } = await calibrated();
  const network = heavyNetwork(1e6);
  const gone = outcome((await device()).measure(network, contractProtocol, { signal }));
  t.ok(await clock.until(() => line.down.bytes - bytes > 600_000));
  line.cut(300_000);
  t.ok(await clock.until(gone.over));
  t.equal(gone.seen.code, 'DEVICE_GONE');
  t.ok(await clock.until(() => hub.pages().length === 1), 'it is back');
  const again = outcome((await device()).measure(network, contractProtocol, { signal }));
  t.ok(await clock.until(again.over));
  t.match(again.seen, { measurement: { verdict: 'valid' } });
  const total = line.down.bytes + line.up.bytes - bytes;
  t.ok(total < 1.1e6, `${total} bytes for a network of 1 MB, measured twice`);
});

t.test('times and outputs that cannot be end the measurement, and none is stored', async (t) => {
  const time = (change: (value: { samplesUs: number[][]; tookUs: number }) => object) =>
    ['time', (value: unknown) => change(value as { samplesUs: number[][]; tookUs: number })] as const;
  const lies: readonly (readonly [op: WorkerRequest['op'], lie: (value: unknown) => unknown])[] = [
    time((value) => ({ ...value, samplesUs: value.samplesUs.map((one) => one.map(() => 1e308)) })),
    time((value) => ({ ...value, samplesUs: value.samplesUs.map((one) => one.map((us) => 1e6 * us)) })),
    time((value) => ({ ...value, tookUs: 3.6e9 })),
    time((value) => ({ ...value, samplesUs: value.samplesUs.map((one) => one.slice(1)) })),
    time((value) => ({ ...value, samplesUs: value.samplesUs.slice(1) })),
    ['load', () => ({ loadUs: 9e15 })],
    ['first', () => ({ firstRunUs: 1e300, touchedBytes: 2e6 })],
  ];
  for (const [op, lie] of lies) {
    const { clock, device, calibrated } = await openBench(2e7);
    const { runner } = await calibrated();
    tellInstead(runner, op, (done) => ({ ...done, value: lie(done.value) }));
    const job = outcome((await device()).measure(doublingNetwork(), contractProtocol, { signal }));
    t.ok(await clock.until(job.over));
    t.match(job.seen, { code: 'MESSAGE_INVALID', measurement: undefined }, `${op}: ${lie}`);
  }
  const { clock, device, calibrated } = await openBench(2e7);
  const { runner } = await calibrated();
  tellInstead(runner, 'run', (done) => ({
    ...done,
    outputs: (done.outputs ?? []).map((output) => ({ ...output, dims: [7] })),
  }));
  let code = '';
  const inputs = { x: { dims: [1, 4, 8, 8], data: new Float32Array(256) } };
  (await device()).run?.(doublingNetwork(), inputs, { signal }).catch((thrown) => {
    code = asHildaError(thrown).code;
  });
  t.ok(await clock.until(() => code !== ''));
  t.equal(code, 'MESSAGE_INVALID');
});

function tellInstead(
  runner: Runner,
  op: WorkerRequest['op'],
  change: (done: Awaited<ReturnType<Runner['ask']>>) => Awaited<ReturnType<Runner['ask']>>,
): void {
  const ask = runner.ask.bind(runner);
  runner.ask = async (request) => (request.op === op ? change(await ask(request)) : ask(request));
}

t.test('of two tabs of one phone one works, the other stops and can take over', async (t) => {
  const { clock, hub, open, device } = await openBench();
  const first = open();
  t.ok(await clock.until(() => first.shown.link === 'ready'));
  const job = outcome((await device()).measure(doublingNetwork(), contractProtocol, { signal }));
  t.ok(await clock.until(() => first.runner.counts.timed > 0));
  const second = open();
  t.ok(await clock.until(() => second.shown.link === 'ready' || second.shown.link === 'working'));
  await clock.pass(60_000);
  t.equal(first.shown.link, 'displaced');
  t.equal(job.seen.code, 'DEVICE_GONE', 'the one that was measured on says that it stopped');
  t.equal(hub.pages().length, 1);
  const tries = first.tries() + second.tries();
  await clock.pass(600_000);
  t.equal(first.tries() + second.tries(), tries, 'neither comes back by itself');
  const here = outcome((await device()).measure(doublingNetwork(), contractProtocol, { signal }));
  t.ok(await clock.until(here.over));
  t.match(here.seen, { measurement: { verdict: 'valid' } }, 'the second one works');
  first.page.takeOver();
  t.ok(await clock.until(() => second.shown.link === 'displaced'));
  t.ok(await clock.until(() => first.shown.link === 'ready'), 'a person may choose');
  await clock.pass(600_000);
  t.match([first.shown.link, second.shown.link], ['ready', 'displaced']);
});

t.test('a line that breaks under a page leaves its place to the page alone', async (t) => {
  const { clock, line, hub, open } = await openBench();
  const page = open();
  t.ok(await clock.until(() => page.shown.link === 'ready'));
  const session = hub.pages()[0];
  for (const cutMs of [5000, 21_000, 120_000, 900_000]) {
    line.cut(cutMs);
    await clock.pass(cutMs + 60_000);
    t.equal(page.shown.link, 'ready', `back after ${cutMs} ms`);
    t.equal(hub.pages()[0] === session, cutMs < 900_000, 'as itself, while it is waited for');
  }
  t.notOk(page.links.includes('displaced'));
  // A cut in the greeting: what the daemon waits for in vain is said again.
  page.page.stop();
  t.ok(await clock.until(() => hub.pages().length === 0));
  const late = open('late');
  await clock.pass(210);
  line.cut(8000);
  t.ok(await clock.until(() => late.shown.link === 'ready', 120_000), 'it is no reason to give up');
});
