import t from 'tap';
import { AttemptLimit } from '../../daemon/api/attempt-limit.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { StoredJoinKeys } from '../../daemon/fleet/join-keys.js';
import { openStore } from '../../daemon/store/open-store.js';
import { knock, openJoinBench } from './join-bench.js';

t.setTimeout(120_000);
const phone = (name: string): DeviceId => `phone-${name}` as DeviceId;

t.test('phones behind one address are counted apart, and whoever guesses there is not', async (t) => {
  const clock = new ManualClock(1_000_000);
  const attempts = new AttemptLimit({ clock, most: 3, windowMs: 60_000 });
  const { keys, port } = await openJoinBench(t, { attempts });
  const door = `ws://127.0.0.1:${port}/v1/join`;
  const by = (pairing: string) => `${door}?visit=${pairing}`;
  const [a, b] = [await keys.issue('page', phone('a')), await keys.issue('page', phone('b'))];

  // Pages that lost their connection show a token that is used up, a guesser shows what it likes.
  for (let n = 0; n < 3; n++) t.equal(await knock(door, { token: `guess-${n}` }), 'PAIRING_REFUSED');
  t.equal(await knock(door, { token: 'guess' }), 'ATTEMPTS_LIMITED');
  const stranger = await keys.issue('page');
  const invented = ['0123456789ab', '', '%', 'phone-a', `${a.pairing}0`, stranger.pairing, stranger.token];
  for (const visit of invented)
    t.equal(
      await knock(by(visit), { token: stranger.token }),
      'ATTEMPTS_LIMITED',
      `no way round by "${visit}"`,
    );
  t.equal(await knock(by(a.pairing), { token: a.token }), 'welcome', 'a known phone is let in meanwhile');

  await clock.advance(10_000);
  for (let n = 0; n < 3; n++) t.equal(await knock(by(a.pairing), { token: a.token }), 'PAIRING_REFUSED');
  t.equal(await knock(by(a.pairing), { token: a.token }), 'ATTEMPTS_LIMITED', 'it has its own limit');
  const again = await keys.issue('page', phone('a'));
  t.equal(
    await knock(by(again.pairing), { token: again.token }),
    'ATTEMPTS_LIMITED',
    'by whatever invitation',
  );
  t.equal(await knock(by(b.pairing), { token: b.token }), 'welcome', 'and no other phone pays for it');

  await clock.advance(50_000);
  t.equal(await knock(door, { token: stranger.token }), 'welcome', "the address's minute is over");
  t.equal(await knock(by(again.pairing), { token: again.token }), 'ATTEMPTS_LIMITED', "the phone's is not");
  await clock.advance(10_000);
  t.equal(await knock(by(again.pairing), { token: again.token }), 'welcome');
});

t.test('invitations are remembered after their use, and not without end', async (t) => {
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  t.teardown(() => store.close());
  const keys = new StoredJoinKeys(store, systemClock);
  const first = await keys.issue('page', phone('first'));
  await keys.redeem('page', first.token, 'x');
  t.equal(keys.invitedDevice(first.pairing), 'phone-first');
  const others = [];
  for (let n = 0; n < 1000; n++) others.push(await keys.issue('page', phone(`${n}`)));
  t.equal(keys.invitedDevice(first.pairing), undefined);
  t.equal(keys.invitedDevice(others[0]!.pairing), 'phone-0');
  t.equal(keys.invitedDevice((await keys.issue('page')).pairing), undefined, 'a page of no known device');
});
