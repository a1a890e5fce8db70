import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { type Measurement, speedOf } from '../core/measurement.js';
import { targetDifference, targetKey } from '../core/target.js';
import { type EquivalenceVerdict, equivalenceKey } from '../fleet/equivalence.js';
import { type KnownVariance, testEquivalence } from '../measure/equivalence.js';
import { loadProtocol } from '../measure/protocols.js';
import { referenceNetworks } from '../measure/references.js';
import { structureHash } from '../network/canonical-text.js';
import type { CampaignRecord } from '../store/campaign-contract.js';
import type { MeasurementRecord, Store } from '../store/contract.js';
import type { CampaignContext, CampaignWork } from './campaigns.js';
import type { Jobs } from './jobs.js';

export interface EquivalenceOptions {
  readonly signal: AbortSignal;
  /** Largest ratio, less one, that still counts as the same; 0.05 by default. */
  readonly margin?: number;
  /** Measurements of each reference on each device; 5 by default. */
  readonly visits?: number;
  readonly protocol?: string;
}

export interface CompareParts {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly clock: Clock;
}

/** What a campaign of the kind `compare` asks for. */
export interface ComparisonRequest {
  readonly devices: readonly [DeviceId, DeviceId];
  readonly margin: number;
  readonly visits: number;
  readonly protocol: string;
}

const references = ['convolution', 'transformer'] as const;
type Reference = (typeof references)[number];

/** Refuses what cannot be compared. Throws DEVICE_UNKNOWN, PROTOCOL_UNKNOWN, STATE_CONFLICT where the targets differ. */
export async function comparisonOf(
  a: DeviceId,
  b: DeviceId,
  { margin = 0.05, visits = 5, protocol = 'search' }: Omit<EquivalenceOptions, 'signal'>,
  store: Store,
): Promise<{ readonly request: ComparisonRequest; readonly of: number }> {
  const [first, second] = [await store.device(a), await store.device(b)];
  const differ = targetDifference(first.target, second.target);
  if (a === b || differ.length > 0)
    throw new HildaError(
      'STATE_CONFLICT',
      a === b ? 'a device is compared with another one' : `${a} and ${b} differ in ${differ.join(', ')}`,
      { hint: 'Only devices of one target can be pooled.' },
    );
  loadProtocol(protocol);
  return { request: { devices: [a, b], margin, visits, protocol }, of: 2 * visits * references.length };
}

/**
 * Measures both reference networks on two devices in turn, so that a drift of the room hits both. Each measurement is kept as
 * progress, so that a comparison that a daemon left goes on where it stood. Only valid measurements count. Throws
 * MEASUREMENT_INVALID where the devices are too unsteady to say anything, and what measuring throws.
 */
export async function compare(
  { request, progress }: Pick<CampaignRecord, 'request' | 'progress'>,
  { signal, onProgress }: CampaignContext,
  { store, jobs, clock }: CompareParts,
): ReturnType<CampaignWork> {
  const { devices, margin, visits, protocol: name } = request as unknown as ComparisonRequest;
  const [a, b] = devices;
  const protocol = loadProtocol(name);
  const networks = referenceNetworks();
  const { target } = await store.device(a);
  const samples = new Map<string, number[]>();
  let known: KnownVariance | undefined;
  const take = (id: DeviceId, reference: Reference, measured: MeasurementRecord | null): void => {
    if (measured?.verdict !== 'valid') return;
    const told = knownVariance(measured);
    if (told && !(known && known.variance >= told.variance)) known = told;
    const key = `${reference} ${id}`;
    const value = measured.latency?.rawUs.median ?? speedOf(measured).value;
    samples.set(key, [...(samples.get(key) ?? []), value]);
  };
  // The order alternates: neither is always the first to meet a change.
  const steps = Array.from({ length: visits }, (_, visit) => (visit % 2 === 0 ? [a, b] : [b, a])).flatMap(
    (ids) => ids.flatMap((id) => references.map((reference) => [id, reference] as const)),
  );
  const taken = [...((progress ?? []) as (MeasurementId | null)[])];
  const stored = await store.measurementsById(taken.filter((id) => id !== null));
  for (const [step, [id, reference]] of steps.entries()) {
    const before = taken[step];
    if (before !== undefined) {
      take(id, reference, (before && stored.get(before)) || null);
      continue;
    }
    const network = networks[reference];
    const { measurement } = await jobs.run(
      {
        work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
        network: { structure: structureHash(network) },
        devices: { device: id },
        owner: { kind: 'comparison', name: `${a} ${b}` },
        attached: true,
        given: { network },
      },
      { signal },
    );
    take(id, reference, measurement);
    taken.push(measurement?.id ?? null);
    await onProgress(taken.length, taken);
  }
  const compared = (reference: Reference) => {
    const [x, y] = [a, b].map((id) => samples.get(`${reference} ${id}`) ?? []) as [number[], number[]];
    if (x.length < 2 || y.length < 2)
      throw new HildaError(
        'MEASUREMENT_INVALID',
        `only ${x.length} and ${y.length} of ${visits} measurements of the ${reference} reference are valid`,
      );
    return testEquivalence(x, y, margin, known);
  };
  const byReference = { convolution: compared('convolution'), transformer: compared('transformer') };
  const verdict: EquivalenceVerdict = {
    devices: [a, b],
    target: targetKey(target),
    margin,
    visits,
    equivalent: byReference.convolution.equivalent && byReference.transformer.equivalent,
    ...byReference,
    takenAtMs: clock.nowMs(),
  };
  const kept = verdict as unknown as Json;
  return { result: kept, values: { [equivalenceKey(a, b)]: kept } };
}

/**
 * What a measurement tells of the variance of a visit like it. Its spread is that of the normalised latency, which is steadier than
 * the raw one compared here: a lower bound. Undefined for what is counted.
 */
function knownVariance({ latency }: Measurement): KnownVariance | undefined {
  const spread = latency?.spread;
  if (!spread) return undefined;
  const { within, between, freedom, sessions } = spread;
  return { variance: (within ** 2 + between ** 2) / sessions, freedom };
}
