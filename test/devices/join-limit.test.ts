import t from 'tap';
import { AttemptLimit } from '../../daemon/access/attempt-limit.js';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { openStore } from '../../daemon/store/open-store.js';
import { greet, knock, knockTogether, openJoinBench } from './join-bench.js';

t.setTimeout(120_000);
const phone = (name: string): DeviceId => `phone-${name}` as DeviceId;

t.test('guests of one address are counted apart, and a peer that guesses there is not', async (t) => {
  const clock = new ManualClock(1_000_000);
  const attempts = new AttemptLimit({ clock, most: 3, windowMs: 60_000 });
  const { keys, port } = await openJoinBench(t, { attempts });
  const door = `ws://127.0.0.1:${port}/v1/join`;
  const by = (pairing: string) => `${door}?visit=${pairing}`;
  const { signal } = new AbortController();
  const [a, b] = [await keys.issue('page', phone('a')), await keys.issue('page', phone('b'))];
  // A page that came by a code earlier, and one that is about to.
  const earlier = await keys.issue('page');
  const { key } = await greet(await connectWs(by(earlier.pairing), { signal }), { token: earlier.token });
  const [guest, other] = [await keys.issue('page'), await keys.issue('page')];
  t.equal(guest.token.split('.')[0], guest.pairing, 'a page reads its invitation off its token');

  // Pages that lost their connection show a token that is used up, a guesser shows what it likes.
  for (let n = 0; n < 3; n++) t.equal(await knock(door, { token: `guess-${n}` }), 'PAIRING_REFUSED');
  t.equal(await knock(door, { token: 'guess' }), 'ATTEMPTS_LIMITED');
  const revoked = await keys.issue('page');
  const { id } = await keys.redeem('page', revoked.token, 'x');
  await keys.revoke(id);
  const invented = ['0123456789ab', '', '%', 'phone-a', `${a.pairing}0`, other.token, id, revoked.pairing];
  for (const visit of invented)
    t.equal(await knock(by(visit), { token: other.token }), 'ATTEMPTS_LIMITED', `no way round by "${visit}"`);
  t.equal(await knock(by(a.pairing), { token: a.token }), 'welcome', 'a known phone is let in meanwhile');
  t.equal(await knock(by(earlier.pairing), { key: key! }), 'welcome', 'as is a page that came before');
  t.equal(await knock(by(guest.pairing), { token: guest.token }), 'welcome', 'and one that was invited');

  await clock.advance(10_000);
  for (let n = 0; n < 3; n++) t.equal(await knock(by(a.pairing), { token: a.token }), 'PAIRING_REFUSED');
  t.equal(await knock(by(a.pairing), { token: a.token }), 'ATTEMPTS_LIMITED', 'it has its own limit');
  for (let n = 0; n < 3; n++)
    t.equal(await knock(by(guest.pairing), { token: `guess-${n}` }), 'PAIRING_REFUSED');
  t.equal(await knock(by(guest.pairing), { key: 'x' }), 'ATTEMPTS_LIMITED', 'so has the invited peer');
  const again = await keys.issue('page', phone('a'));
  t.equal(await knock(by(again.pairing), { token: again.token }), 'ATTEMPTS_LIMITED', 'by any invitation');
  t.equal(await knock(by(b.pairing), { token: b.token }), 'welcome', 'and no other phone pays for it');
  t.equal(await knock(by(other.pairing), { token: other.token }), 'welcome', 'nor another guest');

  await clock.advance(50_000);
  const late = await keys.issue('page');
  t.equal(await knock(door, { token: late.token }), 'welcome', "the address's minute is over");
  t.equal(await knock(by(again.pairing), { token: again.token }), 'ATTEMPTS_LIMITED', "the phone's is not");
  await clock.advance(10_000);
  t.equal(await knock(by(again.pairing), { token: again.token }), 'welcome');
});

t.test('wrong tokens shown at once are counted as those shown one by one', async (t) => {
  const clock = new ManualClock(1_000_000);
  const attempts = new AttemptLimit({ clock, most: 5, windowMs: 60_000 });
  const { keys, port } = await openJoinBench(t, { attempts });
  const door = `ws://127.0.0.1:${port}/v1/join`;
  const right = await Promise.all(Array.from({ length: 12 }, () => keys.issue('page')));
  t.same(
    await knockTogether(door, right),
    right.map(() => 'welcome'),
    'right ones cost nothing, however many there are',
  );
  const late = await keys.issue('page');
  const guesses = Array.from({ length: 40 }, (_, n) => ({ token: `guess-${n}` }));
  const answers = await knockTogether(door, [...guesses, { token: late.token }]);
  t.equal(answers.filter((answer) => answer === 'PAIRING_REFUSED').length, 5, 'so many were looked at');
  t.equal(answers.filter((answer) => answer === 'ATTEMPTS_LIMITED').length, 36, 'the others were not');
  t.equal(await knock(door, late), 'ATTEMPTS_LIMITED');
  await clock.advance(60_001);
  t.equal(await knock(door, late), 'welcome', 'a token that was not looked at is not used up');

  // However slow the look is, and with all other faults of it.
  let looks = 0;
  const look = (code: 'PAIRING_REFUSED' | 'INTERNAL') =>
    attempts
      .admit('slow', async () => {
        looks++;
        await new Promise((resolve) => setImmediate(resolve));
        throw new HildaError(code, 'as told');
      })
      .catch(({ code }: HildaError) => code as string);
  await Promise.all(Array.from({ length: 20 }, () => look('INTERNAL')));
  t.equal(looks, 20, 'a defect is no guess');
  const codes = await Promise.all(Array.from({ length: 20 }, () => look('PAIRING_REFUSED')));
  t.equal(looks, 25);
  t.same([...new Set(codes)], ['PAIRING_REFUSED', 'ATTEMPTS_LIMITED']);
  t.equal(await attempts.admit('another', async () => 'let in'), 'let in');
});

t.test('invitations are remembered after their use, and not without end', async (t) => {
  const store = await openStore({ dataDir: ':memory:', clock: systemClock });
  t.teardown(() => store.close());
  const keys = new StoredJoinKeys(store, systemClock);
  const first = await keys.issue('page', phone('first'));
  await keys.redeem('page', first.token, 'x');
  t.equal(await keys.guestOf(first.pairing), 'phone-first');
  const guest = await keys.issue('page');
  const joined = await keys.redeem('page', guest.token, 'x');
  const named = await keys.guestOf(guest.pairing);
  t.ok(named);
  const others = [];
  for (let n = 0; n < 1000; n++) others.push(await keys.issue('page', phone(`${n}`)));
  t.equal(await keys.guestOf(first.pairing), undefined);
  t.equal(await keys.guestOf(others[0]!.pairing), 'phone-0');
  t.equal(await keys.guestOf(guest.pairing), named, 'a peer that joined is known as long as its key is good');
  const restarted = new StoredJoinKeys(store, systemClock);
  t.equal(await restarted.guestOf(guest.pairing), named, 'after a restart too');
  t.equal(await restarted.guestOf(others[0]!.pairing), undefined);
  const again = await restarted.issueAgain(joined.id);
  const renewed = await restarted.redeem('page', again.token, 'x');
  t.equal(renewed.id, joined.id, 'who lost its key comes back as who it was');
  await t.rejects(restarted.recognise('page', joined.key!), { code: 'PAIRING_REFUSED' }, 'its old key ends');
  t.equal((await restarted.recognise('page', renewed.key!)).id, joined.id);
  t.equal(await restarted.guestOf(guest.pairing), undefined);
  const never = await restarted.issueAgain(joined.id);
  await restarted.revoke(joined.id);
  await t.rejects(restarted.redeem('page', never.token, 'x'), { code: 'KEY_REVOKED' });
  t.equal(await restarted.guestOf(again.pairing), undefined);
  t.equal(await restarted.guestOf(guest.pairing), undefined);
});
