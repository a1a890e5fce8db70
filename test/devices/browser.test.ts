import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { DaemonIdentity } from '../../daemon/api/identity/daemon-identity.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { BrowserDriver } from '../../daemon/devices/browser/driver.js';
import { pageProtocol } from '../../daemon/devices/browser/wire.js';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { contractProtocol, deviceContract, doublingNetwork } from '../contract/device-contract.js';
import { openChromium } from './chromium.js';
import { aPage, atRest, type JoinBench, newInstance, openJoinBench } from './join-bench.js';

const signal = AbortSignal.timeout(1_200_000);

async function open(driver: Driver, wanted: (id: string) => boolean = () => true): Promise<Device> {
  for await (const sighting of driver.discover({ signal }))
    if (wanted(sighting.id)) return driver.open(sighting, { signal });
  throw new Error('no such device');
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1500; i++) {
    if (holds()) return;
    await systemClock.sleep(20);
  }
  throw new Error(`never: ${what}`);
}

/** Chromium is a third of a second's work; the tests of one tier share it. */
async function joined(t: Test, bench: JoinBench, host?: string, flags?: readonly string[]) {
  const context = await openChromium(t, flags && { flags });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().includes(`:${bench.port}/`) && !request.url().startsWith('data:'))
      faults.push(`asked for ${request.url()}`);
  });
  await page.goto(await bench.invite(host));
  await until(() => bench.pages.pages().length > 0, 'a page joined');
  return { context, page, faults };
}

/** y = conv3x3(x), eight channels, weights from a formula: something that rounding can show in. */
/** How long the candidate's samples are against the page's clock, which the driver wants to be 50 steps. */
function stepsOfSample({ manifest, latency }: Pick<Measurement, 'manifest' | 'latency'>): number {
  const { timerStepUs, runsPerSample } = manifest as {
    timerStepUs: number;
    runsPerSample: { candidate: number };
  };
  return (latency!.rawUs.median * runsPerSample.candidate) / timerStepUs;
}

function convolution(size: number): Graph {
  const builder = new GraphBuilder({ name: `conv-${size}` });
  const x = builder.input('x', 'float32', [1, 8, size, size]);
  const w = floatTensor(
    [8, 8, 3, 3],
    Float32Array.from({ length: 576 }, (_, i) => Math.sin(i) / 8),
  );
  builder.output(builder.relu(builder.conv(x, builder.constant('w', w), undefined, { pad: 1 })));
  return builder.build();
}

t.test('a page in Chromium is a device like any other', async (t) => {
  const bench = await openJoinBench(t);
  const { page, faults, context } = await joined(t, bench);
  const driver = () => new BrowserDriver({ hub: bench.pages });
  const { about } = bench.pages.pages()[0]!;
  t.ok(about.secure && about.isolated, 'localhost is secure, the headers isolate');

  await t.test('the runtime comes packed, once, and is kept', async (t) => {
    const folder = `http://localhost:${bench.port}/join/ort/${about.runtimeVersion}`;
    // Read at once: a server closes what stays idle, and a busy machine is slow to come back to it.
    const ask = async (encoding: string) => {
      const file = `${folder}/ort-wasm-simd-threaded.wasm`;
      const answer = await fetch(file, { headers: { 'accept-encoding': encoding } });
      return { headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
    };
    const [packed, plain] = [await ask('gzip'), await ask('identity')];
    t.match(packed.headers.get('content-encoding'), 'gzip');
    t.equal(plain.headers.get('content-encoding'), null);
    for (const { headers } of [packed, plain]) {
      t.equal(headers.get('content-type'), 'application/wasm', 'it compiles while it streams in');
      t.match(headers.get('cache-control'), /immutable/);
      t.match(headers.get('vary'), /accept-encoding/i);
    }
    t.ok(Number(packed.headers.get('content-length')) < 0.4 * Number(plain.headers.get('content-length')));
    t.ok(packed.bytes.equals(plain.bytes));
  });

  await t.test('its outputs are those of onnxruntime-node', async (t) => {
    const [here, there] = [await open(new OnnxRuntimeDriver()), await open(driver())];
    const { convolution: first, transformer: second } = referenceNetworks();
    for (const network of [first, second, convolution(24)]) {
      const [input] = network.inputs;
      const dims = input!.dims as number[];
      const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(i));
      const inputs = { [input!.name]: { dims, data } };
      const [a, b] = [
        await here.run!(network, inputs, { signal }),
        await there.run!(network, inputs, { signal }),
      ];
      t.same(Object.keys(b), Object.keys(a));
      const [x, y] = [Object.values(a)[0]!.data, Object.values(b)[0]!.data];
      const apart = x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i]!)), 0);
      t.ok(x.length === y.length && apart < 1e-4, `${network.name}: ${apart}`);
    }
    await here.close();
  });

  await t.test('memory is the touched pages, in the order of the networks', async (t) => {
    const device = await open(driver());
    const peaks: number[] = [];
    for (const network of [convolution(24), convolution(96), convolution(192)]) {
      const { memory, manifest, latency } = await device.measure(network, contractProtocol, { signal });
      peaks.push(memory.peakBytes ?? 0);
      t.equal(manifest.memorySource, 'touched 4 KiB pages of the wasm heap');
      t.ok((manifest.timerStepUs as number) < 50, `a clock of ${manifest.timerStepUs} us`);
      t.ok(stepsOfSample({ manifest, latency }) > 0.9 * 50, 'samples are long against the clock');
    }
    t.ok(peaks[0]! < peaks[1]! && peaks[1]! < peaks[2]!, peaks.join(' < '));
    t.ok(peaks[2]! > 2 * 8 * 192 * 192 * 4 * 0.9, 'input and output are in it');
  });

  await t.test('what was taken while the page was hidden is void', async (t) => {
    const device = await open(driver());
    let told = false;
    // Long enough that the page hears of it between rounds.
    const long = { ...contractProtocol, ciHalfWidth: 1e-9, maxRounds: 10_000, maxMs: 2500 };
    const measurement = await device.measure(doublingNetwork(), long, {
      signal,
      onProgress: ({ step }) => {
        if (step !== 'rounds' || told) return;
        told = true;
        // Headless pages are never hidden, so the event is made by hand.
        void page.evaluate(`
          Object.defineProperty(document, 'hidden', { value: true, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
          Object.defineProperty(document, 'hidden', { value: false, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));`);
      },
    });
    t.match(measurement, { verdict: 'suspect', reason: /hidden 1 time/ });
    const state = () => bench.pages.pages()[0]!.state;
    await until(() => state().hiddenCount > 0 && !state().hidden, 'the daemon heard that it is back');
    const again = await device.measure(doublingNetwork(), contractProtocol, { signal });
    t.notMatch(again.reason, /hidden/, 'the next one counts again');
  });

  await t.test('the device contract', (t) =>
    deviceContract(t, driver, { broken: refusedNetwork(), host: null }),
  );

  await t.test('it is made for a phone, and asks nobody else', async (t) => {
    t.match(await page.getByTestId('link').textContent(), /Ready|Measuring/);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 412);
    await until(() => bench.pages.pages()[0]!.state.wakeLock, 'it keeps the screen on');
    t.match(await page.locator('.checks').textContent(), /Screen kept on/);
    t.same(faults, []);
    if (process.env.HILDA_SCREENSHOT_JOIN) await page.screenshot({ path: process.env.HILDA_SCREENSHOT_JOIN });
  });

  await t.test('a reload stays who it was; a second page takes over; leaving is DEVICE_GONE', async (t) => {
    const id = bench.pages.pages()[0]!.id;
    const before = bench.pages.page(id);
    await page.reload();
    await until(() => bench.pages.page(id) !== undefined && bench.pages.page(id) !== before, 'it came back');
    t.equal(bench.pages.pages().length, 1);
    const says = (tab: typeof page, words: string) =>
      tab.getByTestId('link').filter({ hasText: words }).waitFor();
    const second = await context.newPage();
    await second.goto(page.url());
    await says(second, 'Ready');
    await says(page, 'Used elsewhere');
    t.equal(bench.pages.pages().length, 1, 'two tabs are one device');
    t.equal(bench.pages.pages()[0]?.id, id);
    t.match(await page.locator('.stage').textContent(), /Another tab or window of this browser is at work/);
    await page.getByRole('button', { name: 'Use this one' }).click();
    await says(page, 'Ready');
    await says(second, 'Used elsewhere');
    await second.close();
    t.equal(bench.pages.pages()[0]?.id, id);
    const device = await open(driver());
    const long = { ...contractProtocol, ciHalfWidth: 1e-9, maxRounds: 10_000, maxMs: 60_000 };
    const measuring = device.measure(doublingNetwork(), long, {
      signal,
      onProgress: ({ step }) => void (step === 'rounds' && page.close()),
    });
    await t.rejects(measuring, { code: 'DEVICE_GONE' });
    const seen = [];
    for await (const sighting of driver().discover()) seen.push(sighting);
    t.same(seen, []);
    const back = await context.newPage();
    await back.goto(await bench.invite());
    await until(() => bench.pages.pages().length > 0, 'it came back');
    t.equal(bench.pages.pages()[0]!.id, id, 'with a new token it stays who it was');
    await bench.keys.revoke(id);
    await back.getByTestId('link').filter({ hasText: 'Not let in' }).waitFor();
    await until(() => bench.pages.pages().length === 0, 'the revoked page is cut off');
    await systemClock.sleep(700);
    t.same(bench.pages.pages(), [], 'a revoked page does not come back');
  });
});

t.test(
  'a page that may keep nothing stays who it was in its tab, and beyond it by the word of a person',
  async (t) => {
    const bench = await openJoinBench(t);
    const context = await openChromium(t);
    await context.addInitScript({
      content: `Object.defineProperty(window, 'localStorage', {
        get: () => { throw new DOMException('denied', 'SecurityError'); },
      })`,
    });
    const page = await context.newPage();
    const here = () => bench.pages.pages()[0];
    await page.goto(await bench.invite());
    await until(() => here() !== undefined, 'it joined');
    const [before, id] = [here(), here()!.id];
    // A page that is reloaded before it heard that it is welcome has no key yet.
    await page.getByTestId('link').filter({ hasText: 'Ready' }).waitFor();
    await page.reload();
    await until(() => here() !== undefined && here() !== before, 'it came back');
    t.equal(here()!.id, id, 'a reload stays who it was');
    t.notMatch(page.url(), /#|[?]k/, 'and no key is to be read off its address');
    await page.close();
    await until(() => here() === undefined, 'it left');
    const again = await context.newPage();
    await again.goto(await bench.invite());
    await until(() => here() !== undefined, 'it joined anew');
    t.not(here()!.id, id, 'nobody can know that it is the same');
    const stray = here()!.id;
    await again.close();
    await until(() => here() === undefined, 'it left');
    const { token } = await bench.keys.issueAgain(id);
    const back = await context.newPage();
    await back.goto(`http://localhost:${bench.port}/join/#t=${token}`);
    await until(() => here() !== undefined, 'it came back');
    t.equal(here()!.id, id, 'unless a person says so');
    await bench.keys.revoke(stray);
    await t.rejects(bench.keys.issueAgain(stray), { code: 'KEY_REVOKED' });
    await t.rejects(bench.keys.issueAgain('browser-none'), { code: 'NOT_FOUND' });
  },
);

/** Valid ONNX to our reader, but no runtime has this operator. */
function refusedNetwork(): Graph {
  const network = doublingNetwork();
  return {
    ...network,
    nodes: network.nodes.map((node) => (node.op === 'Relu' ? { ...node, op: 'Nonsense' } : node)),
  };
}

t.test('plain http under a network name is the basic tier', async (t) => {
  const bench = await openJoinBench(t);
  const flags = ['--disable-gpu', '--host-resolver-rules=MAP phone.test 127.0.0.1'];
  const { page } = await joined(t, bench, 'phone.test', flags);
  const driver = new BrowserDriver({ hub: bench.pages });
  const { about } = bench.pages.pages()[0]!;
  t.match(about, { secure: false, isolated: false, gpu: null });
  const device = await open(driver);
  t.equal(device.target.tier, 'basic');
  const { manifest, latency, target } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(target.threads, 1);
  t.ok((manifest.timerStepUs as number) >= 90, `a clock of ${manifest.timerStepUs} us`);
  const { candidate } = manifest.runsPerSample as { candidate: number };
  const steps = stepsOfSample({ manifest, latency });
  t.ok(candidate > 5 && steps > 0.9 * 50, `${candidate} runs a sample, ${steps} steps of the clock`);
  t.match(await page.locator('.checks').textContent(), /Basic tier/);
  t.equal(bench.pages.pages()[0]!.state.wakeLock, false, 'nor may it keep the screen on');
  for (const path of ['/', '/v1/devices', '/v1/openapi.json', '/join/none']) {
    const reply = await fetch(`http://127.0.0.1:${bench.port}${path}`);
    t.match([reply.status, await reply.json()], [404, { code: 'NOT_FOUND' }], `networks find no ${path}`);
  }
});

t.test('https with the certificate that the daemon made is the isolated tier', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-cert-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const identity = await DaemonIdentity.open({ dataDir: folder, clock: systemClock });
  const bench = await openJoinBench(t, { identity });
  const flags = ['--disable-gpu', '--host-resolver-rules=MAP phone.test 127.0.0.1'];
  await joined(t, bench, 'phone.test', flags);
  t.match(bench.pages.pages()[0]!.about, { secure: true, isolated: true });
});

t.test('WebGPU on a software adapter computes right and gives no speed', async (t) => {
  const bench = await openJoinBench(t);
  await joined(t, bench, 'localhost', ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']);
  t.match(bench.pages.pages()[0]!.about.gpu, { software: true });
  const device = await open(new BrowserDriver({ hub: bench.pages }), (id) => id.endsWith('-webgpu'));
  t.match(device.target, { provider: 'webgpu', tier: 'software' });
  const data = Float32Array.from({ length: 256 }, (_, i) => i - 128);
  const outputs = await device.run!(doublingNetwork(), { x: { dims: [1, 4, 8, 8], data } }, { signal });
  t.same(
    Array.from(Object.values(outputs)[0]!.data),
    Array.from(data, (v) => Math.max(0, 2 * v)),
  );
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'PROVIDER_SOFTWARE',
  });
});

t.test('a peer that breaks the protocol is told why and disconnected', async (t) => {
  const bench = await openJoinBench(t);
  const hello = (changes: object) =>
    JSON.stringify({
      op: 'hello',
      proto: pageProtocol,
      ...newInstance(),
      about: aPage,
      state: atRest,
      ...changes,
    });
  const talkTo =
    ({ port }: JoinBench) =>
    async (...messages: (string | Buffer)[]) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/join`);
      const heard: { op: string; code?: string }[] = [];
      socket.on('message', (text) => heard.push(JSON.parse(String(text))));
      await new Promise((resolve) => socket.once('open', resolve));
      for (const message of messages) socket.send(message);
      await new Promise((resolve) => socket.once('close', resolve));
      return heard.map(({ op, code }) => code ?? op);
    };
  const talk = talkTo(bench);
  const { token } = await bench.keys.issue('page');
  const bound = async () => (await bench.keys.issue('page')).token;
  t.same(await talk('rubbish'), ['MESSAGE_INVALID']);
  t.same(await talk(Buffer.from('rubbish')), ['MESSAGE_INVALID']);
  t.same(await talk(hello({ proto: pageProtocol + 1, token })), ['VERSION_UNSUPPORTED']);
  t.same(await talk(hello({})), ['PAIRING_REFUSED']);
  t.same(await talk(hello({ token: 'guess' })), ['PAIRING_REFUSED']);
  t.same(await talk(hello({ key: 'browser-000000.guess' })), ['PAIRING_REFUSED']);
  t.same(await talk(hello({ token, about: { ...aPage, cores: -1 } })), ['MESSAGE_INVALID']);
  const hasty = await openJoinBench(t, { helloMs: 20 });
  t.same(await talkTo(hasty)(), ['MESSAGE_INVALID'], 'silence');
  t.same(
    await talk(hello({ token }), '{"op":"reply","id":7,"value":{}}'),
    ['welcome'],
    'an answer unasked for',
  );
  t.same(await talk(hello({ token })), ['PAIRING_REFUSED'], 'a token is for one use');
  t.same(await talk(hello({ token: await bound() }), hello({})), ['welcome'], 'hello twice');
  t.same(await talk(hello({ token: await bound() }), Buffer.alloc(20)), ['welcome'], 'a frame of no blob');
  const big = JSON.stringify({ op: 'blob', transfer: 1, bytes: 2 ** 40, sha256: '0'.repeat(64) });
  t.same(await talk(hello({ token: await bound() }), big), ['welcome'], 'a blob beyond the limit');
  const foreign = new WebSocket(`ws://127.0.0.1:${bench.port}/v1/join`, { origin: 'http://evil.test' });
  const refused = await new Promise((resolve) => foreign.once('error', resolve));
  t.match(String(refused), /403/);
});
