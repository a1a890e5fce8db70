import { spawn } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { AttemptLimit } from '../../daemon/access/attempt-limit.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { agentProtocol } from '../../daemon/devices/agent/wire.js';
import type { Sighting } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { thisMachine } from '../../daemon/devices/own-machine.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';
import { LeavingDriver } from '../study/leaving-driver.js';
import { childPath, GatedDriver, open, openHub, startAgent, until } from './agent-bench.js';

const { signal } = new AbortController();

/** Its device computes on the agent's own processors. */
class LocalDriver extends FakeDriver {
  override async *discover(...options: Parameters<FakeDriver['discover']>): AsyncIterable<Sighting> {
    for await (const sighting of super.discover(...options)) yield { ...sighting, host: 'local' };
  }
}

t.test('a revoked key, a wrong token and another version end the agent', async (t) => {
  const bench = await openHub(t);
  const agent = await startAgent(t, bench, new FakeDriver());
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const running = open(bench.hub).then((device) =>
    device.measure(doublingNetwork(), { ...contractProtocol, ciHalfWidth: 1e-9 }, { signal }),
  );
  await running;
  await bench.keys.revoke(bench.hub.agents()[0]!.id);
  t.equal(await agent.ended, 'KEY_REVOKED');
  await until(() => bench.hub.agents().length === 0, 'its devices are gone');
  const again = await startAgent(t, bench, new FakeDriver());
  t.equal(await again.ended, 'KEY_REVOKED', 'its key is still in its folder');
  const child = spawn(process.execPath, [childPath, bench.url, join(bench.folder, 'guess'), 'a-guess']);
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.equal(code, 8, 'a program that ends, not one that loops');
});

t.test('a key revoked during a job ends the agent and frees those who wait', async (t) => {
  const bench = await openHub(t);
  const driver = new GatedDriver();
  const agent = await startAgent(t, bench, driver);
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const measuring = t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'DEVICE_GONE',
    message: /revoked/,
  });
  await until(() => driver.begun === 1, 'it runs');
  await bench.keys.revoke(bench.hub.agents()[0]!.id);
  await measuring;
  t.equal(await agent.ended, 'KEY_REVOKED');
  t.equal(agent.said('joined'), 1, 'it did not knock again');
  driver.go();
});

t.test('a peer with wrong tokens must wait, on both channels, and is told how long', async (t) => {
  const clock = new ManualClock(1_000_000);
  const attempts = new AttemptLimit({ clock, most: 3, windowMs: 60_000 });
  const bench = await openHub(t, {}, attempts);
  const guess = async (n: number): Promise<string> => {
    const connection = await connectWs(bench.url, { signal });
    const refused = new Promise<string>((resolve) => {
      connection.onMessage((text) => resolve(JSON.parse(String(text)).code));
    });
    const hello = {
      op: 'hello',
      proto: agentProtocol,
      token: `guess-${n}`,
      instance: 'an-instance',
      takeOver: false,
      name: 'x',
      devices: [],
      running: [],
      finished: [],
    };
    connection.send(JSON.stringify(hello));
    const code = await refused;
    await new Promise<void>((resolve) => connection.onClose(() => resolve()));
    return code;
  };
  // What breaks the protocol is no guess.
  const rude = await connectWs(bench.url, { signal });
  rude.send('rubbish');
  await new Promise<void>((resolve) => rude.onClose(() => resolve()));
  for (let n = 0; n < 3; n++) {
    t.equal(await guess(n), 'PAIRING_REFUSED');
    await clock.advance(10_000);
  }
  const limited = { code: 'ATTEMPTS_LIMITED', details: { retryAfterS: 30 } };
  await t.rejects(connectWs(bench.url, { signal }), limited, 'the first guess is 30 s old');
  await t.rejects(connectWs(bench.url.replace('agents/', ''), { signal }), limited, 'nor as a page');
  const invited = await startAgent(t, bench, new FakeDriver(), 'invited');
  await until(() => invited.said('joined') === 1, 'a peer that names its invitation is let in meanwhile');
  invited.hold(true);
  invited.hold(false);
  await until(() => invited.said('joined') === 2, 'and let in again, by its key');
  await clock.advance(29_000);
  await t.rejects(connectWs(bench.url, { signal }), {
    code: 'ATTEMPTS_LIMITED',
    details: { retryAfterS: 1 },
  });
  await clock.advance(1000);
  const agent = await startAgent(t, bench, new FakeDriver());
  await until(() => agent.said('joined') === 1, 'a right token joins again');
  t.equal(await guess(9), 'PAIRING_REFUSED');
  await t.rejects(connectWs(bench.url, { signal }), { code: 'ATTEMPTS_LIMITED' }, 'and wrong ones count on');
  t.doesNotThrow(() => attempts.check('192.0.2.1'), 'another address is another count');
});

t.test('what an agent may not say', async (t) => {
  const bench = await openHub(t);
  const hello = async (changes: object = {}) =>
    JSON.stringify({
      op: 'hello',
      proto: agentProtocol,
      token: (await bench.keys.issue('agent')).token,
      instance: 'an-instance',
      takeOver: false,
      name: 'hostile',
      devices: [],
      running: [],
      finished: [],
      ...changes,
    });
  /** Hears until it is cut off, or until the last of the messages has its answer. */
  const talk = async (...messages: (string | Uint8Array)[]): Promise<string[]> => {
    const connection = await connectWs(bench.url, { signal });
    const heard: string[] = [];
    await new Promise<void>((resolve) => {
      connection.onMessage((message) => {
        const { op, code, accepted } = JSON.parse(String(message));
        // Asked of everyone who was let in; nobody must answer.
        if (op === 'clock') return;
        heard.push(code ?? (accepted === undefined ? op : `${op} ${accepted}`));
        if (op === 'ack') resolve();
      });
      connection.onClose(() => resolve());
      for (const message of messages) connection.send(message);
    });
    connection.close(1000, 'done');
    return heard;
  };
  t.same(await talk('{"op":"heartbeat","running":[]}'), ['MESSAGE_INVALID'], 'no hello first');
  t.same(await talk(await hello({ proto: 9 })), ['VERSION_UNSUPPORTED']);
  t.same(await talk(await hello({ token: 'guess' })), ['PAIRING_REFUSED']);
  t.same(await talk(await hello({ devices: [{ id: '../../etc' }] })), ['MESSAGE_INVALID']);
  const onnx = new Uint8Array(64);
  t.same(await talk(await hello(), onnx), ['welcome', 'MESSAGE_INVALID'], 'an ONNX file from an agent');
  t.same(await talk(await hello(), await hello()), ['welcome', 'MESSAGE_INVALID'], 'hello twice');
  const forged = JSON.stringify({ op: 'result', job: 'of-another', epoch: 1, value: {} });
  t.same(await talk(await hello(), forged), ['welcome', 'ack false'], 'a result of no job of its own');
  t.equal(bench.hub.counts.refusedResults, 1);
});

t.test(
  'an agent tells when its devices come and go, and offers what is there when the link is back',
  async (t) => {
    const bench = await openHub(t);
    const driver = new LeavingDriver();
    const agent = await startAgent(t, bench, driver);
    const offered = (): string[] => bench.hub.agents().flatMap(({ devices }) => devices.map(({ id }) => id));
    const sighted = async (): Promise<number> => {
      let count = 0;
      for await (const _ of new AgentDriver(bench.hub).discover()) count++;
      return count;
    };
    await until(() => offered().length === 2, 'the agent joined');
    const device = await open(bench.hub);
    driver.leave('fake-0');
    await until(() => offered().length === 1, 'one device left');
    t.equal(await sighted(), 1);
    await t.rejects(
      device.measure(doublingNetwork(), contractProtocol, { signal }),
      { code: 'DEVICE_GONE' },
      'who holds it is told',
    );
    driver.return('fake-0');
    await until(() => offered().length === 2, 'it is back');
    t.ok(await device.measure(doublingNetwork(), contractProtocol, { signal }), 'and was opened afresh');
    agent.hold(true);
    await until(() => bench.links.size === 0, 'the link is cut');
    driver.leave('fake-1');
    agent.hold(false);
    await until(() => agent.said('joined') === 2, 'the link is back');
    await until(() => offered().join() === 'fake-0', 'without the device that left meanwhile');
  },
);

t.test('an agent whose clock is an hour ahead, and is set back in mid-job', async (t) => {
  const bench = await openHub(t);
  let aheadMs = 3_600_000;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  const driver = new GatedDriver({ clock });
  await startAgent(t, bench, driver, 'ahead', { clock });
  await until(() => bench.hub.agents().length === 1, 'the agent joined');
  const device = await open(bench.hub);
  const measured = async (during: () => void = () => {}) => {
    const fromMs = systemClock.nowMs();
    const begun = driver.begun;
    const measuring = device.measure(doublingNetwork(), contractProtocol, { signal });
    await until(() => driver.begun > begun, 'it runs');
    during();
    driver.go();
    const { takenAtMs, durationMs, manifest } = await measuring;
    t.ok(
      takenAtMs >= fromMs - 2 && takenAtMs <= systemClock.nowMs(),
      `${takenAtMs - fromMs} ms after it was asked for`,
    );
    t.ok(durationMs <= systemClock.nowMs() - fromMs + 2);
    return manifest.clock as { basis: string; toldMs: number; offsetMs: number; jumps: number };
  };
  const ahead = await measured();
  t.match(ahead, { basis: 'corrected', jumps: 0 });
  t.ok(ahead.toldMs > systemClock.nowMs() + 3_000_000, 'what it told is kept beside');
  t.ok(Math.abs(ahead.offsetMs - 3_600_000) < 1000);
  await measured(() => {
    aheadMs = -86_400_000;
  });
  // The next heartbeat asks for its clock.
  await until(async () => (await measured()).jumps === 1, 'the step was seen');
  t.match(await measured(), { basis: 'corrected', jumps: 1 });
  const { takenAtMs = 0 } = (await device.calibrate?.({ signal })) ?? {};
  t.ok(takenAtMs <= systemClock.nowMs(), 'nor is a calibration in the future');
});

t.test('agents on this machine share its processors', async (t) => {
  const machine = { ...thisMachine(), boot: 'a'.repeat(64) };
  const bench = await openHub(t, { machine });
  const hosts = async (): Promise<Record<string, string | null>> => {
    const found: Record<string, string | null> = {};
    for await (const { label, host } of new AgentDriver(bench.hub).discover())
      found[label.split(' on ').at(-1) ?? ''] = host;
    return found;
  };
  await startAgent(t, bench, new LocalDriver(), 'container', { boot: machine.boot });
  await startAgent(t, bench, new LocalDriver(), 'tunnelled', { boot: 'b'.repeat(64) });
  await startAgent(t, bench, new LocalDriver(), 'untold');
  await until(() => bench.hub.agents().length === 3, 'all joined');
  const { id } = bench.hub.agents().find(({ name }) => name === 'tunnelled') ?? {};
  t.same(await hosts(), { container: 'local', tunnelled: id, untold: 'local' });
});
