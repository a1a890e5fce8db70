import { systemClock } from '../../daemon/core/clock.js';
import { openStore } from '../../daemon/store/open-store.js';

/** Writes until it is killed; a number on stdout is the `lastSeq` of an acknowledged commit. */
const store = await openStore({ dataDir: process.argv[2]!, clock: systemClock });
for (let seq = (await store.lastSeq()) + 1; ; seq++) {
  // The value goes first: it may never fall behind the event that names it.
  await store.setValue('last', seq);
  await store.publish('t', seq);
  process.stdout.write(`${seq}\n`);
}
