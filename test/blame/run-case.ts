import type { Architecture } from '../../daemon/core/architecture.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';
import { profilesDir, smallSpace, smallSpec } from '../study/bench.js';
import { FailingDriver } from './failing-driver.js';
import type { FailureText } from './failure-texts.js';
import { hastyClock } from './hasty-clock.js';
import { type Party, sizeOf } from './parties.js';

const device = 'fake-0' as DeviceId;

/** For `runCase`; its table is kept in the folder. By the hasty clock the hold is 3 s, in which a busy machine must settle a device. */
export const blameSpec = (dir: string): Promise<object> =>
  smallSpec(dir, { budget: { trials: 12 }, batch: 4, holdMinutes: 3 });

/** Every third architecture of the space is bad, or the larger half where size decides. */
function badNetworks(party: Party): ReadonlySet<string> {
  const space = loadSpace(smallSpace);
  const networks = Array.from({ length: 81 }, (_, code) =>
    space.network([Math.floor(code / 9), code % 9] as unknown as Architecture),
  );
  const chosen = party.memory
    ? networks.toSorted((a, b) => sizeOf(b) - sizeOf(a)).slice(0, 40)
    : networks.filter((_, i) => i % 3 === 0);
  return new Set(chosen.map(structureHash));
}

/** A study of one device, in which one party is bad and fails with this text. Answers with what is wrong about its end. */
export async function runCase(text: FailureText, party: Party, spec: object): Promise<string[]> {
  const clock = hastyClock(60);
  const store = await openStore({ dataDir: ':memory:', clock });
  const driver = new FailingDriver();
  const pool = new DevicePool({ store, drivers: [driver], clock });
  // The lease must outlive what this machine does meanwhile, at the pace of the clock.
  const jobs = new Jobs({ store, pool, clock, retryMs: 200, ttlMs: 3_600_000 });
  const { signal } = new AbortController();
  await pool.start(signal);
  await jobs.start(signal);
  await pool.discover({ signal });
  await pool.adopt(device);
  const studies = new StudyService({ store, pool, jobs, clock, profilesDir });
  const bad = badNetworks(party);
  party.play(driver, text.failure, bad);
  try {
    const { id } = await studies.create(spec);
    await studies.settled(id);
    const space = loadSpace(smallSpace);
    const all = await store.trials(id);
    const isBad = (trial: TrialRecord): boolean => bad.has(structureHash(space.network(trial.architecture)));
    return judge(party, text, {
      study: await store.study(id),
      device: await store.device(device),
      all,
      isBad,
    });
  } finally {
    await studies.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
  }
}

interface Ended {
  readonly study: { readonly state: string; readonly reason: string | null };
  readonly device: { readonly state: string; readonly reason: string | null };
  readonly all: readonly TrialRecord[];
  readonly isBad: (trial: TrialRecord) => boolean;
}

function judge(
  { guilty, name }: Party,
  { fragment }: FailureText,
  { study, device, all, isBad }: Ended,
): string[] {
  const wrong: string[] = [];
  const hold = (holds: boolean, what: string): void => void (holds || wrong.push(what));
  const infeasible = all.filter(({ state }) => state === 'infeasible');
  if (guilty === 'network') {
    hold(study.state === 'completed', `the study ended ${study.state}: ${study.reason}`);
    hold(device.state === 'adopted', `the device is ${device.state}: ${device.reason}`);
    for (const trial of all)
      hold(
        trial.state === (isBad(trial) ? 'infeasible' : 'complete'),
        `trial ${trial.number}, ${isBad(trial) ? 'bad' : 'good'}, is ${trial.state}: ${trial.reason}`,
      );
    for (const { reason } of infeasible)
      hold(
        /leave/.test(name) || /drive/.test(name) || !!reason?.includes(fragment),
        `"${fragment}" is not told: ${reason}`,
      );
    return wrong;
  }
  for (const { number, reason } of infeasible) wrong.push(`trial ${number} is infeasible: ${reason}`);
  if (guilty === 'nobody') {
    hold(study.state === 'completed', `the study ended ${study.state}: ${study.reason}`);
    hold(device.state === 'adopted', `the device is ${device.state}: ${device.reason}`);
    hold(
      all.every(({ state }) => state === 'complete'),
      `not all trials are complete`,
    );
    return wrong;
  }
  const complete = all.filter(({ state }) => state === 'complete').length;
  if (study.state === 'completed')
    hold(complete === all.length, `completed with ${complete} of ${all.length}`);
  else {
    hold(study.state === 'failed', `the study is ${study.state}`);
    hold(!!study.reason?.includes(fragment), `"${fragment}" is not told of the study: ${study.reason}`);
    hold(device.state === 'quarantined', `the device is ${device.state}`);
    hold(!!device.reason?.includes(fragment), `"${fragment}" is not told of the device: ${device.reason}`);
  }
  return wrong;
}
