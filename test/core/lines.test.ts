import { createHash } from 'node:crypto';
import t from 'tap';
import { BackOff } from '../../daemon/core/back-off.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { asHildaError, HildaError } from '../../daemon/core/errors.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import { BulkReceiver } from '../../daemon/core/link/bulk-receiver.js';
import { BulkSender } from '../../daemon/core/link/bulk-sender.js';
import { LineRate } from '../../daemon/core/link/line-rate.js';
import { encodePiece } from '../../daemon/core/link/pieces.js';
import { longestTransferMs, transferFault } from '../../daemon/core/link/transfer-limits.js';
import { watchLine } from '../../daemon/core/link/watched-line.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Connection } from '../../daemon/devices/connection.js';
import { SimulatedLine } from '../lines/simulated-line.js';
import { VirtualClock } from '../lines/virtual-clock.js';

const blobOf = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => (i * 7919) >> 3);
const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A sender and a receiver of bulk at the two ends of a line, and words beside it. */
async function bulkLine(
  { kbitPerS, delayMs }: { readonly kbitPerS: number; readonly delayMs: number },
  received = new BulkReceiver({ maxBytes: 2 ** 26, hash: nameOf }),
) {
  const clock = new VirtualClock();
  const line = new SimulatedLine({ clock, bitsPerS: 1000 * kbitPerS, delayMs });
  const whole: string[] = [];
  const heardMs: number[] = [];
  let far: Connection | undefined;
  const connecting = line.connect((end) => {
    far = end;
    end.onMessage((message) => {
      if (typeof message !== 'string') {
        const { whole: done, ...got } = received.piece(message);
        if (done !== null) whole.push(done);
        end.send(JSON.stringify({ op: 'got', ...got }));
        return;
      }
      const said = JSON.parse(message);
      if (said.op === 'word') heardMs.push(clock.nowMs() - said.atMs);
      else {
        try {
          end.send(JSON.stringify({ op: 'got', ...received.announce(said) }));
        } catch (thrown) {
          end.send(
            JSON.stringify({ op: 'refuse', transfer: said.transfer, code: asHildaError(thrown).code }),
          );
        }
      }
    });
  });
  let near: Connection | undefined;
  void connecting.then((end) => {
    near = end;
  });
  await clock.until(() => near !== undefined);
  const open = near as Connection;
  const sender = new BulkSender({
    clock,
    peer: 'the other end',
    announce: (blob) => open.send(JSON.stringify({ op: 'blob', ...blob })),
    sendPiece: (frame) => open.send(frame),
  });
  open.onMessage((message) => {
    const said = JSON.parse(String(message));
    if (said.op === 'got') sender.acknowledge(said);
    else sender.refuse(said.transfer, new HildaError(said.code, 'refused'));
  });
  const word = (): void => open.send(JSON.stringify({ op: 'word', atMs: clock.nowMs() }));
  return { clock, line, received, sender, whole, heardMs, word, near: open, far: far as Connection };
}

/** What became of a promise, without waiting for it. */
function watched(promise: Promise<unknown>): { readonly is: () => string } {
  let state = 'pending';
  promise.then(
    () => {
      state = 'done';
    },
    (thrown) => {
      state = asHildaError(thrown).code;
    },
  );
  return { is: () => state };
}

t.test('waits between tries stay within their bounds, grow, and differ from peer to peer', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  for (let i = 0; i < 300; i++) {
    const firstMs = 1 + rng.next() * 2000;
    const mostMs = firstMs * (1 + rng.next() * 50);
    const backOff = new BackOff({ firstMs, mostMs, chance: () => rng.next() });
    for (let n = 0; n < 40; n++) {
      const boundMs = Math.min(mostMs, firstMs * 2 ** n);
      const waitMs = backOff.next();
      if (!(waitMs >= boundMs / 2 && waitMs <= boundMs)) t.fail(`try ${n} waits ${waitMs} of ${boundMs} ms`);
    }
    backOff.reset();
    if (!(backOff.next() <= firstMs && backOff.failures === 1)) t.fail('a success begins anew');
  }
  const [low, high] = [0, 0.999999].map((chance) => {
    const backOff = new BackOff({ firstMs: 100, mostMs: 1e9, chance: () => chance });
    return Array.from({ length: 20 }, () => backOff.next());
  });
  t.ok(low && high);
  for (let n = 1; n < 20; n++)
    t.ok(low![n]! > 0.99 * high![n - 1]!, 'each wait is longer than the last, by any chance');
  // A thousand peers that lost one daemon: no tenth of the window gets twice its share.
  const waits = Array.from({ length: 1000 }, () =>
    new BackOff({ firstMs: 1000, mostMs: 8000, chance: () => rng.next() }).next(),
  );
  const shares = Array.from(
    { length: 10 },
    (_, k) => waits.filter((w) => Math.floor((w - 500) / 50) === k).length,
  );
  t.ok(Math.max(...shares) < 200, shares.join(' '));
});

t.test('bulk uses the line up, and a word beside it waits a fraction of a second', async (t) => {
  for (const [kbitPerS, delayMs, bytes] of [
    [256, 50, 300_000],
    [256, 300, 300_000],
    [2000, 300, 2_000_000],
    [20_000, 50, 20_000_000],
    [20_000, 300, 20_000_000],
  ] as const) {
    const { clock, line, sender, whole, heardMs, word, received } = await bulkLine({ kbitPerS, delayMs });
    const blob = blobOf(bytes);
    const startMs = clock.nowMs();
    const sending = watched(sender.deliver(blob, nameOf(blob)));
    void (async () => {
      while (sending.is() === 'pending') {
        word();
        await clock.sleep(500);
      }
    })();
    t.ok(await clock.until(() => sending.is() !== 'pending'));
    const tookMs = clock.nowMs() - startMs;
    const name = `${kbitPerS} kbit/s, ${delayMs} ms`;
    t.same([sending.is(), whole], ['done', [nameOf(blob)]], name);
    t.same(Buffer.compare(received.take(nameOf(blob)), blob), 0);
    const idealMs = (8 * bytes) / kbitPerS;
    t.ok(tookMs < 1.25 * idealMs + 12 * delayMs, `${name}: ${tookMs} ms, the line alone needs ${idealMs} ms`);
    const overhead = (line.up.bytes + line.down.bytes) / bytes - 1;
    t.ok(overhead < 0.1, `${name}: ${(100 * overhead).toFixed(1)} % more bytes than the content has`);
    const latest = Math.max(...heardMs) - delayMs;
    t.ok(heardMs.length > 5 && latest < 700, `${name}: a word waited ${latest} ms beyond the line's delay`);
    const { bytesPerS, roundTripMs } = sender.facts;
    t.ok(
      bytesPerS! > 0.7 * 125 * kbitPerS && bytesPerS! < 1.3 * 125 * kbitPerS,
      `${name}: ${bytesPerS} bytes/s`,
    );
    t.ok(roundTripMs! >= 2 * delayMs && roundTripMs! < 2 * delayMs + 250, `${name}: ${roundTripMs} ms`);
  }
});

t.test('what came before a break is not sent again', async (t) => {
  const blob = blobOf(1_000_000);
  const first = await bulkLine({ kbitPerS: 2000, delayMs: 50 });
  const broken = watched(first.sender.deliver(blob, nameOf(blob)));
  await first.clock.until(() => first.line.up.bytes > 600_000);
  first.sender.close(new HildaError('DEVICE_GONE', 'the line broke'));
  await first.clock.pass(2000);
  t.equal(broken.is(), 'DEVICE_GONE');
  t.same(first.whole, []);
  first.received.disconnect();

  const second = await bulkLine({ kbitPerS: 2000, delayMs: 50 }, first.received);
  const resumed = watched(second.sender.deliver(blob, nameOf(blob)));
  await second.clock.until(() => resumed.is() !== 'pending');
  t.same([resumed.is(), second.whole], ['done', [nameOf(blob)]]);
  const total = first.line.up.bytes + second.line.up.bytes;
  t.ok(total < 1.1 * blob.byteLength, `${total} bytes for ${blob.byteLength}`);
  const upBefore = second.line.up.bytes;
  const known = watched(second.sender.deliver(blob, nameOf(blob)));
  await second.clock.until(() => known.is() !== 'pending');
  t.ok(second.line.up.bytes - upBefore < 300, 'a content that is there costs its name');
});

t.test('cuts that a connection outlives cost their own time, at every rate and delay', async (t) => {
  for (const [kbitPerS, delayMs, bytes] of [
    [256, 300, 1_500_000],
    [256, 50, 1_000_000],
    [8000, 300, 20_000_000],
  ] as const) {
    const { clock, line, sender } = await bulkLine({ kbitPerS, delayMs });
    const blob = blobOf(bytes);
    const startMs = clock.nowMs();
    const sending = watched(sender.deliver(blob, nameOf(blob)));
    let cutMs = 0;
    for (const [share, ms] of [
      [0.1, 5000],
      [0.2, 5000],
      [0.4, 12_000],
    ] as const) {
      await clock.until(() => line.up.bytes > share * bytes);
      line.cut(ms);
      // TCP's own next try may come as late again.
      cutMs += 2 * ms;
    }
    await clock.until(() => sending.is() !== 'pending');
    t.equal(sending.is(), 'done');
    const tookMs = clock.nowMs() - startMs;
    const limitMs = (1.25 * 8 * bytes) / kbitPerS + cutMs + 20 * delayMs;
    t.ok(tookMs < limitMs, `${kbitPerS} kbit/s, ${delayMs} ms: ${tookMs} ms of ${limitMs}`);
  }
});

t.test('the rate from before a cut outlives it, and a line that became slower is found out', async (t) => {
  const rate = new LineRate();
  let nowUs = 0;
  const send = (bytes: number, tookUs: number): void => {
    const departure = rate.depart(nowUs, true);
    nowUs += tookUs;
    rate.arrive(departure, bytes, nowUs, true);
  };
  for (let i = 0; i < 20; i++) send(64_000, 100_000);
  const { pieceBytes } = rate;
  for (let i = 0; i < 3; i++) send(64_000, 12e6);
  t.equal(rate.facts.bytesPerS, 640_000);
  nowUs += 600e6;
  rate.broke();
  send(64_000, 5e6);
  send(64_000, 100_000);
  t.same([rate.facts.bytesPerS, rate.pieceBytes], [640_000, pieceBytes], 'also over a new connection');
  for (let i = 0; i < 12; i++) send(rate.pieceBytes, 4e6);
  t.ok(rate.facts.bytesPerS! < 20_000, `${rate.facts.bytesPerS} bytes/s`);
});

t.test('pieces that come by a line that was given up count, until the next one carries them', async (t) => {
  const blob = blobOf(1000);
  const piece = (offset: number, bytes: Uint8Array): Uint8Array =>
    encodePiece({ transfer: 1, offset, bytes });
  const begun = () => {
    const received = new BulkReceiver({ maxBytes: 1e6 });
    received.announce({ transfer: 1, bytes: 1000, sha256: nameOf(blob) });
    received.piece(piece(0, blob.subarray(0, 300)));
    return { received, late: received.disconnect() };
  };
  const again = { transfer: 7, bytes: 1000, sha256: nameOf(blob) };
  const { received, late } = begun();
  late(piece(300, blob.subarray(300, 500)));
  late(piece(900, blob.subarray(900)));
  late(encodePiece({ transfer: 5, offset: 500, bytes: blob.subarray(500) }));
  t.equal(received.announce(again).bytes, 500, 'in order, of what was announced there');
  late(piece(500, blob.subarray(500, 700)));
  t.match(
    received.piece(encodePiece({ transfer: 7, offset: 500, bytes: blob.subarray(500) })),
    { bytes: 1000, whole: nameOf(blob) },
    'the next line has it now',
  );
  const whole = begun();
  whole.late(piece(300, blob.subarray(300)));
  t.same([whole.received.announce(again).bytes, whole.received.has(nameOf(blob))], [1000, true]);
  const damaged = begun();
  damaged.late(piece(300, blob.subarray(299, 999)));
  t.same([damaged.received.announce(again).bytes, damaged.received.has(nameOf(blob))], [0, false]);
});

t.test('contents that are damaged, foreign or too large', async (t) => {
  const blob = blobOf(40_000);
  const { clock, sender, whole, received } = await bulkLine(
    { kbitPerS: 2000, delayMs: 20 },
    new BulkReceiver({ maxBytes: 100_000 }),
  );
  const misnamed = watched(sender.deliver(blob, sha256Hex(blobOf(3))));
  const large = watched(sender.deliver(blobOf(200_000), nameOf(blobOf(200_000))));
  await clock.until(() => large.is() !== 'pending');
  t.equal(large.is(), 'NETWORK_TOO_LARGE', 'refused, while the other one goes on');
  await clock.pass(10_000);
  t.equal(misnamed.is(), 'MESSAGE_INVALID', 'bytes that are not what their name says never count as there');
  t.same(whole, []);
  t.throws(() => received.take(sha256Hex(blobOf(3))), { code: 'MESSAGE_INVALID' });
  for (const frame of [new Uint8Array(3), new Uint8Array(8), new Uint8Array(64)])
    t.throws(() => received.piece(frame), { code: 'MESSAGE_INVALID' });
  t.throws(() => received.announce({ transfer: 1, bytes: 40_000, sha256: nameOf(blob) }), {
    code: 'MESSAGE_INVALID',
    message: /twice/,
  });
});

t.test('a line that would take hours is named, with its rate; one that stands still as well', async (t) => {
  const slow = await bulkLine({ kbitPerS: 20, delayMs: 50 });
  const blob = blobOf(20_000_000);
  const hours = watched(slow.sender.deliver(blob, nameOf(blob)));
  const startMs = slow.clock.nowMs();
  await slow.clock.until(() => hours.is() !== 'pending');
  t.equal(hours.is(), 'LINE_TOO_SLOW');
  t.ok(slow.clock.nowMs() - startMs < 60_000, 'found out by its rate, long before the limit');
  const told = transferFault({
    peer: 'the page browser-3f2a91',
    bytes: 1e8,
    done: 1e5,
    came: 75_000,
    elapsedMs: 30_000,
    stillMs: 0,
    bytesPerS: 2500,
  });
  t.match(told, { code: 'LINE_TOO_SLOW', message: /browser-3f2a91 carries 20 kbit\/s/ });
  const fits = { peer: 'x', bytes: 1e8, done: 0, came: 0, elapsedMs: 30_000, stillMs: 0, bytesPerS: 1e5 };
  t.equal(transferFault(fits), null, 'limits follow the size and the rate');
  t.ok(transferFault({ ...fits, elapsedMs: longestTransferMs }), 'up to a last one');
  const bad = { ...fits, elapsedMs: 600_000, bytesPerS: 2500 };
  t.equal(transferFault({ ...bad, done: 5e7, came: 3e7 }), null, 'a bad minute is not the whole line');
  t.ok(transferFault({ ...bad, done: 5e7, came: 1e6 }), 'what was there before says nothing of the line');

  const still = await bulkLine({ kbitPerS: 2000, delayMs: 50 });
  const stopped = watched(still.sender.deliver(blob, nameOf(blob)));
  await still.clock.until(() => still.line.up.bytes > 1e6);
  still.line.cut(1e9);
  await still.clock.pass(120_000);
  t.equal(stopped.is(), 'LINE_TOO_SLOW');
});

t.test('the rate of a line is not judged by a sender that has nothing to send', async (t) => {
  const rate = new LineRate();
  let nowUs = 0;
  const send = (bytes: number, tookUs: number, full: boolean): void => {
    const departure = rate.depart(nowUs, full);
    nowUs += tookUs;
    rate.arrive(departure, bytes, nowUs, true);
  };
  for (let i = 0; i < 20; i++) send(64_000, 100_000, true);
  const { bytesPerS } = rate.facts;
  const { windowBytes } = rate;
  t.equal(bytesPerS, 640_000);
  for (let i = 0; i < 200; i++) send(100, 100_000, false);
  t.equal(rate.facts.bytesPerS, bytesPerS, 'a word a time says nothing of the line');
  t.equal(rate.windowBytes, windowBytes, 'and does not narrow it');
});

t.test('any byte is life, and silence without a farewell ends a connection', async (t) => {
  const clock = new ManualClock();
  let [received, dropped, beats] = [0, 0, 0];
  watchLine(
    { onClose: () => {}, drop: () => void dropped++, receivedBytes: () => received },
    { clock, beat: () => void beats++ },
  );
  const pass = async (ms: number, bytesEachS: number): Promise<void> => {
    for (let s = 0; s < ms / 1000; s++) {
      received += bytesEachS;
      await clock.advance(1000);
      for (let i = 0; i < 5; i++) await null;
    }
  };
  await pass(300_000, 1);
  t.equal(dropped, 0, 'one byte a second of a message that is not whole yet');
  t.equal(beats, 60);
  await pass(19_000, 0);
  t.equal(dropped, 0);
  await pass(7000, 0);
  t.equal(dropped, 1, 'the line died without a word');
  await pass(60_000, 0);
  t.equal(dropped, 1, 'once');
});

t.test('a wait of more than 25 days does not end at once', async (t) => {
  const gone = new AbortController();
  for (const ms of [2 ** 31, 1e12, Number.POSITIVE_INFINITY]) {
    const long = systemClock.sleep(ms, { signal: gone.signal }).then(() => 'long');
    long.catch(() => {});
    t.equal(await Promise.race([long, systemClock.sleep(20).then(() => 'short')]), 'short', `${ms} ms`);
  }
  const last = systemClock.sleep(2 ** 40, { signal: gone.signal });
  gone.abort(new Error('enough'));
  await t.rejects(last, /enough/);
});
