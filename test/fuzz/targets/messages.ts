import { ManualClock } from '../../../daemon/core/clock.js';
import { AgentDriver } from '../../../daemon/devices/agent/driver.js';
import { AgentHub } from '../../../daemon/devices/agent/hub.js';
import { agentProtocol } from '../../../daemon/devices/agent/wire.js';
import { BrowserDriver } from '../../../daemon/devices/browser/driver.js';
import { PageHub } from '../../../daemon/devices/browser/hub.js';
import { pageProtocol } from '../../../daemon/devices/browser/wire.js';
import type { Connection } from '../../../daemon/devices/connection.js';
import type { Driver } from '../../../daemon/devices/contract.js';
import { loadProtocol } from '../../../daemon/measure/protocols.js';
import { doublingNetwork } from '../../../daemon/testing/doubling-network.js';
import { measurement, target } from '../../contract/store-samples.js';
import { aPage, atRest } from '../../devices/join-bench.js';
import { admitAll, namedKeys } from '../../lines/keys.js';
import type { FuzzTarget } from '../guided.js';
import { mutateValue } from '../mutate.js';

/** What a peer says, one message after the other; a list of numbers is a binary message. */
type Said = readonly unknown[];

const network = doublingNetwork();
const protocol = loadProtocol('quick');
const turns = 6;

/** A peer that says what it is told to, in this process. Words `$job` and `$epoch` stand for those of the last lease. */
class Peer implements Connection {
  readonly peer = 'the fuzzer';
  #listener: ((message: string | Uint8Array) => void) | null = null;
  readonly #closed: ((code: number) => void)[] = [];
  #isClosed = false;
  #lease: Readonly<Record<string, unknown>> = {};

  send(message: string | Uint8Array): void {
    if (typeof message !== 'string') return;
    const said = JSON.parse(message) as Readonly<Record<string, unknown>>;
    if (said.op === 'lease') this.#lease = said;
  }

  onMessage(listener: ((message: string | Uint8Array) => void) | null): void {
    this.#listener = listener;
  }

  onClose(listener: (code: number) => void): void {
    this.#closed.push(listener);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const listener of this.#closed) listener(1000);
  }

  drop(): void {
    this.close();
  }

  ping(): void {}

  receivedBytes(): number {
    return 1;
  }

  async say(message: unknown): Promise<void> {
    const { job, epoch } = this.#lease;
    const isBinary = Array.isArray(message) && message.every((one) => typeof one === 'number');
    const text = JSON.stringify(message) ?? '';
    if (!this.#isClosed)
      this.#listener?.(
        isBinary
          ? Uint8Array.from(message as number[])
          : text.replaceAll('"$job"', JSON.stringify(job ?? 1)).replaceAll('"$epoch"', String(epoch ?? 1)),
      );
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  }
}

/** The peer joins, is asked to measure, and says all that it has to say. Throws what measuring throws. */
async function converse(
  said: Said,
  accept: (peer: Peer, clock: ManualClock) => { readonly driver: Driver; readonly close: () => void },
): Promise<void> {
  const clock = new ManualClock(1_790_000_000_000);
  const peer = new Peer();
  const { signal } = new AbortController();
  const { driver, close } = accept(peer, clock);
  const [hello, ...rest] = said;
  let outcome: Promise<unknown> = Promise.resolve();
  try {
    await peer.say(hello);
    for await (const sighting of driver.discover({ signal })) {
      outcome = driver
        .open(sighting, { signal })
        .then((device) => device.measure(network, protocol, { signal }));
      outcome.catch(() => {});
      break;
    }
    for (const message of rest) await peer.say(message);
  } finally {
    peer.close();
    close();
    // Waits for a peer that is gone end now.
    await clock.advance(400_000);
  }
  await Promise.race([outcome, new Promise(setImmediate)]);
}

const pageHello = {
  op: 'hello',
  proto: pageProtocol,
  key: 'x',
  instance: 'instance-1',
  heard: 0,
  takeOver: false,
  about: aPage,
  state: atRest,
};
const fits = {
  touchedBytes: 4096,
  timerStepUs: 5,
  loadUs: 1000,
  firstRunUs: 100,
  tookUs: 5000,
  samplesUs: Array.from({ length: 6 }, () => [100, 101, 99]),
  outputs: [],
};
const replies = Array.from({ length: 12 }, (_, i) => ({ op: 'reply', id: i + 1, value: fits }));
const got = Array.from({ length: 3 }, (_, i) => ({ op: 'got', transfer: i + 1, bytes: 0 }));

export const pageTarget: FuzzTarget<Said> = {
  name: 'ws-page',
  seeds: () => [
    [pageHello, ...replies],
    [pageHello, replies[0], ...got, ...replies.slice(1)],
    [pageHello, { op: 'state', state: atRest }, { op: 'failed', id: 1, origin: 'page', detail: 'no' }],
    [
      pageHello,
      { op: 'blob', transfer: 1, bytes: 4, sha256: 'a'.repeat(64) },
      [1, 0, 0, 0, 0, 0, 0, 0, 9, 9],
    ],
    [pageHello, { op: 'refuse', transfer: 1, detail: 'full' }],
  ],
  mutate: (given, corpus, rng) => asList(mutateValue(given, corpus, rng)),
  run: (said) =>
    converse(said, (peer, clock) => {
      const hub = new PageHub({ keys: namedKeys, clock });
      void hub.accept(peer, admitAll);
      return { driver: new BrowserDriver({ hub, clock }), close: () => hub.close() };
    }),
};

const agentHello = {
  op: 'hello',
  proto: agentProtocol,
  key: 'x',
  instance: 'instance-1',
  takeOver: false,
  name: 'far away',
  devices: [
    {
      id: 'fake-0',
      kind: 'fake',
      label: 'Fake',
      target,
      obstacle: null,
      limits: { memoryBytes: null, weightBytes: null },
      abilities: [],
      host: null,
    },
  ],
  running: [],
  finished: [],
  clock: { wallMs: 1_790_000_000_000, monotonicMs: 5000 },
};
const hold = { job: '$job', epoch: '$epoch' };

export const agentTarget: FuzzTarget<Said> = {
  name: 'ws-agent',
  seeds: () => [
    [
      agentHello,
      { op: 'need', ...hold, sha256: 'a'.repeat(64) },
      { op: 'result', ...hold, value: measurement },
    ],
    [
      agentHello,
      { op: 'result', ...hold, value: { abilities: [], target } },
      { op: 'progress', ...hold, step: 'rounds', done: 1, of: 9 },
      { op: 'result', ...hold, value: measurement },
    ],
    [agentHello, { op: 'devices', devices: [] }, { op: 'heartbeat', running: [hold] }],
    [agentHello, { op: 'clock', id: 1, wallMs: 1, monotonicMs: 2 }, { op: 'got', transfer: 1, bytes: 10 }],
    [
      agentHello,
      {
        op: 'failed',
        ...hold,
        error: { code: 'DEVICE_FAILED', message: 'x', hint: 'y', retryable: true, details: {} },
      },
    ],
    [
      agentHello,
      { op: 'blob', transfer: 1, bytes: 2, sha256: 'b'.repeat(64) },
      [1, 0, 0, 0, 0, 0, 0, 0, 1, 2],
    ],
  ],
  mutate: (given, corpus, rng) => asList(mutateValue(given, corpus, rng)),
  run: (said) =>
    converse(said, (peer, clock) => {
      const hub = new AgentHub({ keys: namedKeys, clock });
      void hub.accept(peer, admitAll);
      return { driver: new AgentDriver(hub), close: () => {} };
    }),
};

const asList = (value: unknown): Said => (Array.isArray(value) ? value.slice(0, 40) : [value]);
