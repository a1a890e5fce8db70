import { join } from 'node:path';
import { ApiServer } from '../../../daemon/api/api-server.js';
import type { DaemonServices } from '../../../daemon/api/services.js';
import { systemClock } from '../../../daemon/core/clock.js';
import type { StudyId } from '../../../daemon/core/ids.js';
import { DevicePool } from '../../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../../daemon/jobs/campaigns.js';
import { Jobs } from '../../../daemon/jobs/jobs.js';
import { PredictorService } from '../../../daemon/predictors/predictor-service.js';
import { ProbeSchedules } from '../../../daemon/predictors/probe-schedules.js';
import { dashboardDir, profilesDir } from '../../../daemon/process/installation.js';
import { Schedules } from '../../../daemon/schedules/schedules.js';
import type { Store } from '../../../daemon/store/contract.js';
import { fileBlobs } from '../../../daemon/store/file-blobs.js';
import { openStore } from '../../../daemon/store/open-store.js';
import { StudyService } from '../../../daemon/study/service.js';
import { Specialisations } from '../../../daemon/study/specialisation/specialisations.js';
import { deviceId, drawnMeasurement, drawnTrial, measuredOnce } from './scale-study.js';

/**
 * The daemon of `bench study-scale`, in a process of its own: its store, its studies and its API, and a search that writes
 * trials as the loop does and never waits for a device. Answers each message of its parent with one.
 */
export type Order =
  | { readonly op: 'search'; readonly study: StudyId; readonly seconds: number }
  | { readonly op: 'usage' }
  | { readonly op: 'stop' };

const [dataDir = ''] = process.argv.slice(2);
const clock = systemClock;
const batch = 10;
const store = await openStore({ dataDir, clock });
const pool = new DevicePool({ store, drivers: [], clock });
const jobs = new Jobs({ store, pool, clock });
const campaigns = new Campaigns({ store, clock });
const predictors = new PredictorService({ store, jobs, campaigns, clock, profilesDir });
const studies = new StudyService({ store, pool, jobs, clock, profilesDir, predictors });
const calendar = new Schedules({ store, clock });
// What the page and the channel ask for; nothing here is measured or deployed.
const services: Partial<DaemonServices> = {
  version: 'bench',
  clock,
  store,
  blobs: fileBlobs(join(dataDir, 'blobs')),
  pool: pool as DaemonServices['pool'],
  studies,
  jobs,
  predictors,
  specialisations: new Specialisations({ store, studies, profilesDir }),
  schedules: new ProbeSchedules({ store, predictors, schedules: calendar, clock }),
  calendar,
};
const server = new ApiServer(services as DaemonServices, { port: 0, dashboardDir });
const url = await server.start(new AbortController().signal);
const template = await measuredOnce();

process.on('message', (order: Order) => {
  void answer(order).then((said) => process.send?.(said));
});
process.send?.({ url });

async function answer(order: Order): Promise<object> {
  switch (order.op) {
    case 'search':
      return { finished: await search(store, order.study, order.seconds) };
    case 'usage': {
      const { user, system } = process.cpuUsage();
      return { cpuMs: (user + system) / 1000, rssMb: process.resourceUsage().maxRSS / 1024 };
    }
    case 'stop':
      await server.stop();
      await store.close();
      setImmediate(() => process.disconnect());
      return {};
  }
}

/** Asks, measures, finishes and tells, one trial after the other, and answers with how many it finished in the time. */
async function search(store: Store, study: StudyId, seconds: number): Promise<number> {
  const lease = await store.acquireLease(deviceId, 'bench', 3_600_000);
  if (!lease) throw new Error('the device is leased');
  const rng = [1, 2, 3, 4] as const;
  const endMs = clock.nowMs() + 1000 * seconds;
  let finished = 0;
  for (let next = await store.trialCount(study); clock.nowMs() < endMs; next += batch) {
    const drawn = Array.from({ length: batch }, (_, i) => drawnTrial(next + i));
    const asked = await store.askTrials(study, drawn, { sampler: null, rng });
    for (const [i, { number }] of asked.entries()) {
      const trial = drawn[i] as (typeof drawn)[number];
      const { state, values, reason, evidence } = trial;
      await store.addMeasurement(drawnMeasurement(template, trial), {
        deviceId,
        lease,
        trial: { studyId: study, number },
      });
      await store.finishTrial({ studyId: study, number, state, values, reason, evidence });
      if (clock.nowMs() < endMs) finished++;
    }
    await store.tellTrials(
      study,
      asked.map(({ number }) => number),
      null,
    );
  }
  return finished;
}
