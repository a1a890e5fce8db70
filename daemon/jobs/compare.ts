import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { type Measurement, speedOf } from '../core/measurement.js';
import { targetDifference, targetKey } from '../core/target.js';
import { type EquivalenceVerdict, equivalenceKey } from '../fleet/equivalence.js';
import { type KnownVariance, testEquivalence } from '../measure/equivalence.js';
import { loadProtocol } from '../measure/protocols.js';
import { referenceNetworks } from '../measure/references.js';
import { structureHash } from '../network/canonical-text.js';
import type { Store } from '../store/contract.js';
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

/**
 * Measures both reference networks on two devices in turn, so that a drift of the room hits both, and keeps the
 * verdict. Only valid measurements count. Throws STATE_CONFLICT where the targets differ, MEASUREMENT_INVALID where the
 * devices are too unsteady to say anything, and what measuring throws.
 */
export async function compareDevices(
  a: DeviceId,
  b: DeviceId,
  { store, jobs, clock }: CompareParts,
  { signal, margin = 0.05, visits = 5, protocol: name = 'search' }: EquivalenceOptions,
): Promise<EquivalenceVerdict> {
  const [first, second] = [await store.device(a), await store.device(b)];
  const differ = targetDifference(first.target, second.target);
  if (a === b || differ.length > 0)
    throw new HildaError(
      'STATE_CONFLICT',
      a === b ? 'a device is compared with another one' : `${a} and ${b} differ in ${differ.join(', ')}`,
      { hint: 'Only devices of one target can be pooled.' },
    );
  const protocol = loadProtocol(name);
  const references = referenceNetworks();
  const samples = {
    [a]: { convolution: [], transformer: [] },
    [b]: { convolution: [], transformer: [] },
  } as Record<string, Record<'convolution' | 'transformer', number[]>>;
  let known: KnownVariance | undefined;
  for (let visit = 0; visit < visits; visit++) {
    // The order alternates: neither is always the first to meet a change.
    for (const id of visit % 2 === 0 ? [a, b] : [b, a]) {
      for (const reference of ['convolution', 'transformer'] as const) {
        const network = references[reference];
        const { measurement: measured } = await jobs.run(
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
        if (measured?.verdict !== 'valid') continue;
        const told = knownVariance(measured);
        if (told && !(known && known.variance >= told.variance)) known = told;
        samples[id]?.[reference].push(measured.latency?.rawUs.median ?? speedOf(measured).value);
      }
    }
  }
  const compared = (reference: 'convolution' | 'transformer') => {
    const [x, y] = [samples[a]?.[reference] ?? [], samples[b]?.[reference] ?? []];
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
    target: targetKey(first.target),
    margin,
    visits,
    equivalent: byReference.convolution.equivalent && byReference.transformer.equivalent,
    ...byReference,
    takenAtMs: clock.nowMs(),
  };
  await store.setValue(equivalenceKey(a, b), verdict as never);
  return verdict;
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
