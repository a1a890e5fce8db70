/** The daemon of `bench soak`, in a process of its own. Answers each message of its parent with one. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenFile } from '../../../daemon/access/local-token.js';
import { systemClock } from '../../../daemon/core/clock.js';
import type { FaultPlanInput } from '../../../daemon/faults/fault-plan.js';
import { Switchboard } from '../../../daemon/faults/switchboard.js';
import { Daemon } from '../../../daemon/process/daemon.js';
import { virtualFleet } from '../../../daemon/testing/virtual-fleet.js';

export type SoakOrder =
  | { readonly op: 'faults'; readonly plan: FaultPlanInput | null }
  | { readonly op: 'look'; readonly collect: boolean }
  | { readonly op: 'stop' };

const [dataDir = ''] = process.argv.slice(2);
const idle: FaultPlanInput = { rules: [{ edge: 'store', action: 'fail', nth: Number.MAX_SAFE_INTEGER }] };
const faults = new Switchboard(idle);
let defects = 0;
const daemon = new Daemon({
  dataDir,
  port: 0,
  clock: systemClock,
  drivers: [virtualFleet(4, { spread: 0.2, delayMs: 3 })],
  shippedDrivers: false,
  faults,
  onError: ({ code, message }) => {
    if (code !== 'INTERNAL') return;
    defects++;
    console.error(`defect: ${message}`);
  },
});
const url = await daemon.start(new AbortController().signal);
const token = (await readFile(join(dataDir, tokenFile), 'utf8')).trim();

process.on('message', (order: SoakOrder) => {
  void answer(order).then((said) => process.send?.(said));
});
process.send?.({ url, token });

async function answer(order: SoakOrder): Promise<object> {
  switch (order.op) {
    case 'faults':
      if (order.plan) faults.replace(order.plan);
      else faults.clear();
      return {};
    case 'look':
      if (order.collect) globalThis.gc?.();
      return {
        handles: process.getActiveResourcesInfo().length,
        strikes: faults.strikes,
        defects,
        heapMiB: order.collect ? process.memoryUsage().heapUsed / 2 ** 20 : null,
      };
    case 'stop': {
      const fromUs = systemClock.monotonicUs();
      await daemon.stop({ withinMs: 60_000 });
      const stopMs = (systemClock.monotonicUs() - fromUs) / 1000;
      // Sockets of clients that hear of the end close in their own time.
      await systemClock.sleep(500);
      const own = new Set(['PipeWrap', 'Timeout', 'TTYWrap', 'FSReqPromise']);
      const pending = process.getActiveResourcesInfo().filter((name) => !own.has(name));
      setImmediate(() => process.disconnect());
      return { stopMs, pending };
    }
  }
}
