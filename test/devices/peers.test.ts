import t from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import { PeerClock } from '../../daemon/devices/agent/peer-clock.js';
import { pageHost } from '../../daemon/devices/browser/page-host.js';
import { pageVariants } from '../../daemon/devices/browser/targets.js';
import { aboutSchema } from '../../daemon/devices/browser/wire.js';
import { isAgentHere, type OwnMachine, thisMachine } from '../../daemon/devices/own-machine.js';
import { aPage } from './join-bench.js';

const start = Date.UTC(2026, 10, 30, 12);
const hourMs = 3_600_000;

/** Two clocks: ours, and a peer's that the test sets apart. Time passes for both. */
class Peer {
  readonly ours = new Bent(start);
  readonly clock = new PeerClock(this.ours);
  /** Its wall clock minus the true time. */
  aheadMs = 0;
  /** Its monotonic clock begins at its own boot. */
  bootMs = start - 5 * hourMs;

  reading = () => ({
    wallMs: this.ours.trueMs() + this.aheadMs,
    monotonicMs: this.ours.trueMs() - this.bootMs,
  });

  /** A round trip whose way there and back take these times. */
  async roundTrip(thereMs: number, backMs: number): Promise<void> {
    const id = this.clock.ask();
    await this.ours.advance(thereMs);
    const reading = this.reading();
    await this.ours.advance(backMs);
    this.clock.answered(id, reading);
  }

  /** Work of a second, begun a tenth of a second after it was asked for; its answer travels for `backMs`. */
  async measure(backMs = 20, during: () => void = () => {}) {
    const askedUs = this.ours.monotonicUs();
    await this.ours.advance(100);
    const [trueMs, toldMs] = [this.ours.trueMs(), this.reading().wallMs];
    await this.ours.advance(500);
    during();
    await this.ours.advance(500 + backMs);
    return { trueMs, toldMs, placed: this.clock.place(toldMs, 1000, askedUs) };
  }
}

/** Our own clock: its wall time may jump, its monotonic time does not. */
class Bent extends ManualClock {
  jumpedMs = 0;
  trueMs = (): number => super.nowMs();
  override nowMs = (): number => super.nowMs() + this.jumpedMs;
}

t.test("a peer's times are placed by our clock", async (t) => {
  for (const aheadMs of [0, 3, hourMs, -hourMs, 10 * 365 * 24 * hourMs, -start + 1000]) {
    const peer = new Peer();
    peer.aheadMs = aheadMs;
    peer.clock.told(peer.reading());
    const unasked = await peer.measure();
    t.ok(
      Math.abs(unasked.placed.takenAtMs - unasked.trueMs) <= 150,
      `${aheadMs} ms ahead, by its first word`,
    );
    await peer.roundTrip(900, 20);
    await peer.roundTrip(20, 30);
    await peer.roundTrip(40, 700);
    const { trueMs, toldMs, placed } = await peer.measure();
    t.ok(
      Math.abs(placed.takenAtMs - trueMs) <= 25,
      `${aheadMs} ms ahead: off by ${placed.takenAtMs - trueMs} ms`,
    );
    t.equal(placed.mark.basis, Math.abs(aheadMs) < 20 ? 'agrees' : 'corrected');
    t.equal(placed.mark.toldMs, toldMs, 'what it said is kept');
    t.ok(Math.abs((placed.mark.offsetMs ?? 0) - aheadMs) <= 25);
    t.equal(placed.mark.uncertaintyMs, 25, 'half of the shortest round trip');
    t.equal(placed.durationMs, 1000);
    t.equal(placed.mark.jumps, 0);
  }
});

t.test('clocks that jump, there and here', async (t) => {
  const peer = new Peer();
  peer.clock.told(peer.reading());
  await peer.roundTrip(5, 5);
  const during = await peer.measure(20, () => {
    peer.aheadMs = hourMs;
  });
  t.ok(Math.abs(during.placed.takenAtMs - during.trueMs) <= 20, 'the job began before the step');
  await peer.roundTrip(5, 5);
  const seen = await peer.measure(20, () => {
    peer.aheadMs = 0;
  });
  t.equal(seen.placed.mark.jumps, 1);
  t.equal(seen.placed.mark.basis, 'corrected');
  t.ok(Math.abs(seen.placed.takenAtMs - seen.trueMs) <= 20, 'it told by the clock of before the step back');
  await peer.roundTrip(5, 5);

  // A step that was undone before anybody saw it: no offset explains the time.
  const askedUs = peer.ours.monotonicUs();
  await peer.ours.advance(2000);
  const lost = peer.clock.place(peer.ours.trueMs() + 7 * hourMs, 1000, askedUs);
  t.equal(lost.mark.basis, 'bounded');
  t.equal(lost.takenAtMs, peer.ours.trueMs() - 1000, 'placed where it can have been');

  // Our own wall clock was an hour slow, and is set right in mid-job.
  peer.ours.jumpedMs = -hourMs;
  await peer.roundTrip(5, 5);
  const set = await peer.measure(20, () => {
    peer.ours.jumpedMs = 0;
  });
  t.ok(Math.abs(set.placed.takenAtMs - set.trueMs) <= 20, 'by our clock as it is now');

  // The agent was restarted on a machine that booted anew: its clock did not step.
  const { jumps } = set.placed.mark;
  peer.bootMs = start;
  peer.clock.told(peer.reading());
  await peer.roundTrip(5, 5);
  const after = await peer.measure();
  t.equal(after.placed.mark.jumps, jumps);
  t.ok(Math.abs(after.placed.takenAtMs - after.trueMs) <= 20);

  // Nobody answers for readings that were not asked for, or twice.
  peer.clock.answered(9999, { wallMs: 0, monotonicMs: 0 });
  t.ok(Math.abs(peer.clock.offset()?.offsetMs ?? hourMs) <= 20);
});

t.test('nothing lies in the future, or lasts longer than we waited', async (t) => {
  const peer = new Peer();
  await peer.roundTrip(400, 400);
  const askedUs = peer.ours.monotonicUs();
  await peer.ours.advance(1000);
  const ahead = peer.clock.place(peer.ours.trueMs() + 300, 1e9, askedUs);
  t.ok(ahead.takenAtMs <= peer.ours.trueMs());
  t.equal(ahead.durationMs, 1000);
  t.equal(ahead.mark.durationToldMs, 1e9);
  t.equal(peer.clock.place(peer.ours.trueMs(), -5, askedUs).durationMs, 0);
  t.equal(new PeerClock(peer.ours).place(4e12, 10, askedUs).mark.basis, 'bounded', 'no reading at all');
  peer.aheadMs = hourMs;
  await peer.roundTrip(5, 5);
  const long = peer.ours.trueMs() - 100 * hourMs;
  t.ok(Math.abs(peer.clock.past(long + hourMs) - long) <= 5, 'a calibration of days ago');
  t.ok(peer.clock.past(peer.ours.trueMs() + 90 * hourMs) <= peer.ours.trueMs());
  t.equal(peer.clock.past(0), 0);
});

const machine: OwnMachine = {
  boot: 'a'.repeat(64),
  systems: ['linux'],
  cores: 8,
  isOwnAddress: (peer) => peer === '127.0.0.1' || peer === '192.168.1.20',
};

t.test('an agent on this machine is recognised by its boot id, or by its address', async (t) => {
  const table: [address: string, boot: string | null, here: boolean, what: string][] = [
    ['127.0.0.1', machine.boot, true, 'beside the daemon'],
    ['172.17.0.2', machine.boot, true, 'in a container: one kernel, another address'],
    ['127.0.0.1', 'b'.repeat(64), false, 'behind a tunnel'],
    ['192.168.1.30', 'b'.repeat(64), false, 'elsewhere'],
    ['192.168.1.20', null, true, 'by its address where it tells no boot id'],
    ['192.168.1.30', null, false, 'neither'],
  ];
  for (const [address, boot, here, what] of table)
    t.equal(isAgentHere({ address, boot }, machine), here, what);
  t.equal(isAgentHere({ address: '127.0.0.1', boot: 'b' }, { ...machine, boot: null }), true);
  const own = thisMachine();
  t.ok(own.isOwnAddress('127.0.0.1'));
  if (process.platform === 'linux') t.match(own.boot, /^[0-9a-f]{64}$/);
  t.equal(thisMachine().boot, own.boot);
});

t.test('a page on this machine is recognised by its address, unless it contradicts', async (t) => {
  const about = (changes: object) => aboutSchema.parse({ ...aPage, system: 'linux', cores: 8, ...changes });
  const host = (peer: string, changes: object = {}) => pageHost({ peer, about: about(changes) }, machine);
  t.equal(host('127.0.0.1'), 'local');
  t.equal(host('192.168.1.20', { cores: 2 }), 'local', 'Firefox may hide cores');
  t.not(host('127.0.0.1', { system: 'android' }), 'local', 'a phone behind a tunnel');
  t.not(host('127.0.0.1', { cores: 64 }), 'local', 'a larger machine behind a tunnel');
  t.not(host('192.168.1.30'), 'local');
  t.equal(
    host('192.168.1.30', { browser: 'Firefox 145' }),
    host('192.168.1.30'),
    'two browsers of one machine',
  );
  t.not(host('192.168.1.30', { cores: 4 }), host('192.168.1.30'), 'two machines behind one address');
  t.not(host('192.168.1.31'), host('192.168.1.30'));
});

t.test('a browser that names no product is a target of its own', async (t) => {
  const about = (named: boolean) =>
    aboutSchema.parse({
      ...aPage,
      model: 'Linux x86_64, 8 cores',
      named,
      gpu: { name: 'intel gen-9', software: false },
    });
  const models = (id: string, named: boolean) =>
    pageVariants(id, about(named)).map(({ target }) => target.model);
  t.equal(
    models('browser-a', false).some((model) => models('browser-b', false).includes(model)),
    false,
  );
  t.same(models('browser-a', true), models('browser-b', true), 'phones of one model share theirs');
  const [first, second] = ['browser-a', 'browser-b'].map((id) => pageVariants(id, about(false))[0]?.label);
  t.equal(first, second, 'people see what the browser says');
});
