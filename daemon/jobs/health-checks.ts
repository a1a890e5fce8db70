import { asHildaError, type HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { isAway } from '../fleet/away.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { referenceCharts } from '../fleet/health/device-health.js';
import {
  healthMarks,
  outsideInARow,
  type ReferenceChart,
  type ReferenceName,
  referenceNames,
} from '../fleet/health/reference-levels.js';
import { checksOutside, checksPassed } from '../fleet/health/rules.js';
import { canSelfTest, judgeSelfTest, selfTestInputs } from '../fleet/health/self-test.js';
import { loadProtocol } from '../measure/protocols.js';
import { referenceNetworks } from '../measure/references.js';
import { structureHash } from '../network/canonical-text.js';
import type { MeasurementRecord, Store } from '../store/contract.js';
import type { JobRequest } from './job.js';
import type { Jobs } from './jobs.js';

export interface HealthCheck {
  readonly device: DeviceId;
  /** `unclear`: it was away, or its measurement is not valid; nothing follows from it. */
  readonly outcome: 'passed' | 'failed' | 'unclear';
  /** Why it did not pass; null where it did. */
  readonly why: string | null;
  /** What followed: a rule took it out of use, or back. */
  readonly followed: 'quarantined' | 'released' | null;
}

export interface HealthChecksOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'setAside' | 'release'>;
  readonly jobs: Pick<Jobs, 'run'>;
}

type Found = { readonly outcome: 'failed' | 'unclear'; readonly why: string; readonly isWrong?: boolean };

/** Checks devices, quarantined ones too: both references against their limits, and the answer to a fixed input. */
export class HealthChecks {
  readonly #options: HealthChecksOptions;

  constructor(options: HealthChecksOptions) {
    this.#options = options;
  }

  /** Applies the rules to what it finds. Throws DEVICE_UNKNOWN, and the signal's reason. */
  async check(
    device: DeviceId,
    { name, signal }: { readonly name: string; readonly signal: AbortSignal },
  ): Promise<HealthCheck> {
    const { store, pool } = this.#options;
    await store.device(device);
    const found = await this.#find(device, { name, signal });
    const outcome: HealthCheck['outcome'] = found?.outcome ?? 'passed';
    const told = { device, outcome, why: found?.why ?? null };
    const { state, quarantine } = await store.device(device);
    if (state === 'quarantined' && quarantine) {
      const { quarantine: now } =
        outcome === 'unclear' ? { quarantine } : await store.noteHealthCheck(device, outcome === 'passed');
      if (!now || now.by === 'hand' || now.passed < checksPassed) return { ...told, followed: null };
      await pool.release(device);
      return { ...told, followed: 'released' };
    }
    if (state !== 'adopted' || outcome !== 'failed') return { ...told, followed: null };
    const reason = found?.isWrong ? found.why : await this.#reasonOutside(device);
    if (reason === null) return { ...told, followed: null };
    await pool.setAside(device, 'quarantined', reason, found?.isWrong ? 'results' : 'reference');
    return { ...told, followed: 'quarantined' };
  }

  async #find(
    device: DeviceId,
    how: { readonly name: string; readonly signal: AbortSignal },
  ): Promise<Found | null> {
    const { store } = this.#options;
    const taken = new Map<ReferenceName, MeasurementRecord>();
    for (const reference of referenceNames) {
      try {
        const measurement = await this.#measure(device, reference, how);
        if (measurement?.verdict !== 'valid')
          return { outcome: 'unclear', why: `${measurement?.verdict}: ${measurement?.reason}` };
        taken.set(reference, measurement);
      } catch (thrown) {
        how.signal.throwIfAborted();
        const error = asHildaError(thrown);
        // Some devices run one of the references alone; the firmware of others runs its own network alone.
        if (error.details.atFault !== 'network') return failureOf(error);
      }
    }
    if (taken.size === 0) return { outcome: 'unclear', why: 'it runs none of the reference networks' };
    const wrong = await this.#answersWrongly(device, how);
    if (wrong) return wrong;
    for (const chart of await referenceCharts(await store.device(device), store)) {
      const last = chart.points.at(-1);
      if (last?.standing === 'outside' && last.measurement === taken.get(chart.reference)?.id)
        return { outcome: 'failed', why: outsideText(chart) };
    }
    return null;
  }

  async #measure(
    device: DeviceId,
    reference: ReferenceName,
    { name, signal }: { readonly name: string; readonly signal: AbortSignal },
  ): Promise<MeasurementRecord | null> {
    const network = referenceNetworks()[reference];
    const protocol = loadProtocol('quick');
    const { measurement } = await this.#options.jobs.run(
      {
        ...healthJob(device, name),
        work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
        network: { structure: structureHash(network) },
        maxAttempts: 2,
        given: { network },
      },
      { signal },
    );
    return measurement;
  }

  /** Devices that cannot run a network on given inputs are not asked. */
  async #answersWrongly(
    device: DeviceId,
    { name, signal }: { readonly name: string; readonly signal: AbortSignal },
  ): Promise<Found | null> {
    const { target } = await this.#options.store.device(device);
    if (!canSelfTest(target)) return null;
    const network = referenceNetworks().convolution;
    try {
      const { outputs } = await this.#options.jobs.run(
        {
          ...healthJob(device, name),
          work: { kind: 'run' },
          network: { structure: structureHash(network) },
          given: { network, inputs: [selfTestInputs()] },
        },
        { signal },
      );
      const wrong = judgeSelfTest(outputs ?? {}, target);
      return wrong === null
        ? null
        : { outcome: 'failed', why: `its results are wrong: ${wrong}`, isWrong: true };
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asHildaError(thrown);
      return error.details.ability === undefined ? failureOf(error) : null;
    }
  }

  async #reasonOutside(device: DeviceId): Promise<string | null> {
    const { store } = this.#options;
    const { countFromMs } = await healthMarks(store, device);
    const charts = await referenceCharts(await store.device(device), store);
    const beyond = charts.find((chart) => outsideInARow(chart, countFromMs) >= checksOutside);
    return beyond ? `${outsideText(beyond)}, in ${outsideInARow(beyond, countFromMs)} checks in a row` : null;
  }
}

const healthJob = (device: DeviceId, name: string): Pick<JobRequest, 'devices' | 'owner' | 'attached'> => ({
  devices: { device },
  owner: { kind: 'health', name },
  attached: true,
});

const failureOf = (error: HildaError): Found => ({
  outcome:
    isAway(error) && error.details.unopened !== 'failed' && error.details.atFault !== 'device'
      ? 'unclear'
      : 'failed',
  why: `${error.code}: ${error.message}`,
});

function outsideText({ reference, points, limits, unit }: ReferenceChart): string {
  const value = points.at(-1)?.value ?? Number.NaN;
  const [low, high] = [limits?.low ?? Number.NaN, limits?.high ?? Number.NaN];
  const shown = (one: number): string => String(Number(one.toPrecision(4)));
  return `its ${reference} reference took ${shown(value)} ${unit}, its limits are ${shown(low)} and ${shown(high)}`;
}
