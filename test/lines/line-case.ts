import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../daemon/core/clock.js';
import { asHildaError, HildaError } from '../../daemon/core/errors.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { BrowserDriver } from '../../daemon/devices/browser/driver.js';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { modelBytes } from '../../daemon/network/model-source.js';
import { contractProtocol } from '../contract/device-contract.js';
import { runAgent } from './agent-in-node.js';
import { heavyNetwork } from './heavy-network.js';
import type { LineWorld } from './line-world.js';
import { openPage } from './page-in-node.js';
import type { Speed } from './speed.js';

export interface LineCase extends Speed {
  readonly kind: 'page' | 'agent';
  readonly bytes: number;
  /** Each begins at its share of the model's bytes; those at 1 begin while the network runs. */
  readonly cuts: readonly { readonly at: number; readonly ms: number }[];
}

export interface LineOutcome {
  /** Measured, and taken by the one who asked. */
  readonly results: number;
  readonly valid: boolean;
  /** Ended with an error that is no absence. */
  readonly code: string | null;
  readonly isStuck: boolean;
  /** Results that came and were taken by nobody. */
  readonly refused: number;
  /** How often it was begun: each time the peer was away for too long, as a study does. */
  readonly attempts: number;
  readonly modelBytes: number;
  /** Both ways, all that passed the line from the asking to the end. */
  readonly lineBytes: number;
  /** Of the line's own time. */
  readonly seconds: number;
  /** What the line alone would take, with its cuts. */
  readonly leastSeconds: number;
}

const { signal } = new AbortController();
/** Of a device that needs a while for a network, so that a cut can fall into it. */
const measuringMs = 8000;
const pauseMs = 500;

/** One network measured over one line of the world, in its time. Ends the world. */
export async function runLineCase(given: LineCase, world: LineWorld): Promise<LineOutcome> {
  const { kbitPerS, bytes, cuts } = given;
  const { clock } = world;
  const peer = given.kind === 'page' ? pageBehind(world) : await agentBehind(world);
  try {
    await world.until(() => peer.isHere());
    await ready(peer, world);
    const network = heavyNetwork(bytes);
    const size = modelBytes(network).byteLength;
    const before = world.passed();
    const startMs = clock.nowMs();
    const job = asStudiesDo(peer, clock, (device) => device.measure(network, contractProtocol, { signal }));
    const cutMs = cuts.reduce((sum, { ms }) => sum + ms, 0);
    const leastMs = (8 * size) / kbitPerS + cutMs;
    const limitMs = 1.5 * leastMs + 2 * cutMs + 300_000;
    for (const { at, ms } of cuts) {
      const begins = (): boolean =>
        at < 1 ? world.passed().down - before.down >= at * size : peer.isRunning(size);
      await world.until(() => begins() || job.over(), limitMs);
      if (job.over()) break;
      world.cut(ms);
      const endMs = clock.nowMs() + ms;
      await world.until(() => clock.nowMs() >= endMs, 2 * ms);
    }
    const isOver = await world.until(job.over, limitMs);
    const after = world.passed();
    const { results, code, attempts } = job;
    return {
      results: results.length,
      valid: results.length > 0 && results.every(({ verdict }) => verdict === 'valid'),
      code: code(),
      isStuck: !isOver,
      refused: peer.refused(),
      attempts: attempts(),
      modelBytes: size,
      lineBytes: after.down + after.up - before.down - before.up,
      seconds: (clock.nowMs() - startMs) / 1000,
      leastSeconds: leastMs / 1000,
    };
  } finally {
    await peer.stop();
    await world.stop();
  }
}

interface Peer {
  readonly driver: Driver;
  isHere(): boolean;
  /** It is in the middle of measuring the network. */
  isRunning(modelBytes: number): boolean;
  refused(): number;
  stop(): Promise<void>;
}

function pageBehind({ clock, pages, connectPage }: LineWorld): Peer {
  const rng = Xoshiro128.fromSeed(1);
  const { page, runner } = openPage({ clock, connect: connectPage, rng, key: 'phone' });
  return {
    driver: new BrowserDriver({ hub: pages, clock }),
    isHere: () => pages.pages().length > 0,
    isRunning: (size) => runner.counts.candidateBytes === size && runner.counts.ofCandidate > 2,
    refused: () => 0,
    stop: async () => page.stop(),
  };
}

async function agentBehind({ clock, agents, connectAgent, until }: LineWorld): Promise<Peer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-line-'));
  const drivers = [new FakeDriver({ clock, delayMs: measuringMs })];
  const agent = runAgent({ clock, connect: connectAgent, drivers, dataDir, key: 'x' });
  return {
    driver: new AgentDriver(agents),
    isHere: () => agents.agents().length > 0,
    isRunning: (size) => agent.events.some(({ event, bytes }) => event === 'model' && bytes === size),
    refused: () => agents.counts.refusedResults,
    stop: async () => {
      let isStopped = false;
      void agent.stop().then(() => {
        isStopped = true;
      });
      await until(() => isStopped);
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function open({ driver, isHere }: Peer): Promise<Device> {
  if (isHere())
    for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new HildaError('DEVICE_GONE', 'nobody is here');
}

/** Calibrated and with all that is sent but once. */
async function ready(peer: Peer, { clock, until }: LineWorld): Promise<void> {
  const job = asStudiesDo(peer, clock, (device) =>
    device.measure(heavyNetwork(400), contractProtocol, { signal }),
  );
  await until(job.over);
}

/** Does the work; where the device is away, again when it is back. */
function asStudiesDo(peer: Peer, clock: Clock, work: (device: Device) => Promise<Measurement>) {
  const results: Measurement[] = [];
  let [attempts, isOver] = [0, false];
  let code: string | null = null;
  void (async () => {
    for (;;) {
      try {
        if (peer.isHere()) attempts++;
        results.push(await work(await open(peer)));
        break;
      } catch (thrown) {
        const error = asHildaError(thrown);
        if (error.code !== 'DEVICE_GONE') {
          code = error.code;
          break;
        }
        await clock.sleep(pauseMs);
      }
    }
    isOver = true;
  })();
  return { results, over: () => isOver, code: () => code, attempts: () => attempts };
}
