import { systemClock } from '../../../daemon/core/clock.js';

/**
 * `node fleet-reader.js URL`: reads of the API from a process of its own. Its parent sends lists of paths, with how many seconds they
 * are read for in turn, one at a time; it answers with how long each read took, by the part of the path before `?` or an id.
 */
const [url = ''] = process.argv.slice(2);

interface Order {
  readonly paths: readonly string[];
  /** Each path once where it is left out. */
  readonly seconds?: number;
}

process.on('message', (order: Order) => {
  void read(order).then((tookMs) => process.send?.({ tookMs }));
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });

async function read({ paths, seconds }: Order): Promise<number[]> {
  const tookMs: number[] = [];
  const endUs = systemClock.monotonicUs() + (seconds ?? 0) * 1e6;
  for (let i = 0; seconds === undefined ? i < paths.length : systemClock.monotonicUs() < endUs; i++) {
    const path = paths[i % paths.length] as string;
    const beganUs = systemClock.monotonicUs();
    const response = await fetch(`${url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
    tookMs.push((systemClock.monotonicUs() - beganUs) / 1000);
  }
  return tookMs;
}
