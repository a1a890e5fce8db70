import type { Interval } from './intervals.js';
import type { Json } from './json.js';
import type { Target } from './target.js';

/**
 * How a number was obtained. `measured`: on the hardware it speaks of. `emulated`: instructions or modelled cycles,
 * never shown as milliseconds of a real board. `predicted`: by a model, always with an interval. `imported`: from a
 * named source.
 */
export type Provenance = 'measured' | 'emulated' | 'predicted' | 'imported';

/** Only `valid` measurements train predictors and enter a front; the others are kept and marked. */
export type Verdict = 'valid' | 'noisy' | 'throttled' | 'drifted' | 'contended' | 'suspect';

/** A summary of samples. `ciLow` and `ciHigh` bound the median at 95 % (bootstrap). */
export interface Summary {
  readonly n: number;
  readonly min: number;
  readonly median: number;
  readonly p90: number;
  /** Median absolute deviation from the median, not scaled. */
  readonly mad: number;
  readonly ciLow: number;
  readonly ciHigh: number;
}

export interface Latency {
  /** Microseconds, one sample a round, as the clock gave them. */
  readonly rawUs: Summary;
  /**
   * Candidate over reference network, one sample a round. The ratio reproduces where raw times do not
   * (0.8 to 4 % between repeats against 3 to 12 % on shared machines).
   */
  readonly ratio: Summary;
  /** The ratio times the reference's calibrated latency on this device. */
  readonly normalisedUs: number;
  /** At 95 %, for another measurement of this network on this device: it holds both parts of `spread`. */
  readonly normalisedCiUs: readonly [low: number, high: number];
  /** Null in what a device returns of one session, and in rows of versions that knew one part alone. */
  readonly spread?: Spread | null;
  /**
   * By which share the device's clock may be off, both ways: 0.0025 is 0.25 %. A part of the interval that is equal in every
   * measurement on the device, so no repetition narrows it. Left out where the host's clock was read.
   */
  readonly clockOff?: number | null;
  /** Which reference network is more like the candidate; none where only one network can run: the ratio is to its median. */
  readonly reference: 'convolution' | 'transformer' | 'none';
  /**
   * Where both stood beside it: the weight of the convolution in the level that it was compared with. Each round's
   * `referenceBeforeUs` is then the convolution's and `referenceAfterUs` the transformer's.
   */
  readonly convolutionWeight?: number | null;
  /** From the network's bytes to a session that is ready; null where the device's runner does not tell. */
  readonly loadUs: number | null;
  /** The first inference after loading, before any warm-up; null where the runner does not tell, or only that it was short. */
  readonly firstRunUs: number | null;
}

/**
 * The two parts of a latency's uncertainty (Kalibera and Jones, 2013), as standard deviations of its logarithm: 0.01 is
 * 1 %.
 */
export interface Spread {
  /** Within a session: what more rounds would reduce. */
  readonly within: number;
  /** From one session to another (process, memory layout, moment, neighbours), as known of the target. */
  readonly between: number;
  /** What the machine's regime adds: as far as the references ran slower or faster than they do undisturbed. */
  readonly regime: number;
  /** Degrees of freedom of `between`. */
  readonly freedom: number;
  /** Sessions that the measurement is made of; their mean has the variance of a session over their number. */
  readonly sessions: number;
  /** Repeats that `between` was learnt from; 0 where it is assumed. */
  readonly repeats: number;
}

export interface Memory {
  /** All constants of the network. */
  readonly weightBytes: number;
  /** Highest live activation bytes that the runtime itself reported; deterministic. Null where nothing tells. */
  readonly activationPeakBytes: number | null;
  /** `weightBytes + activationPeakBytes`: what limits are checked against. Null where the latter is unknown. */
  readonly peakBytes: number | null;
  /** Rise of the process's resident memory while running, in steps of 2 MB with huge pages; null where unreadable. */
  readonly runPeakRssBytes: number | null;
}

/** One executed operator of a profile run. Times come from a run apart: profiling slows small networks up to 4.5 x. */
export interface OperatorCost {
  readonly name: string;
  readonly op: string;
  readonly provider: string;
  /** Null where the device counts and does not time: an emulated board. */
  readonly medianUs: number | null;
  /** Null where the device times and does not count. Cycles of an emulated board are modelled. */
  readonly count: {
    readonly unit: Counts['unit'];
    readonly value: number;
    readonly provenance: 'measured' | 'emulated';
  } | null;
  readonly outputBytes: number;
  readonly parameterBytes: number;
  /** Live bytes the runtime reported while this operator ran. */
  readonly liveBytes: number;
}

/** What one operator of a board's program took, in the unit of the counts that hold it. */
export interface OperatorCount {
  /** The network's node it comes from; fused nodes are joined by `+`. */
  readonly name: string;
  readonly op: string;
  /** On a real board the median over the rounds, to the whole tick. */
  readonly count: number;
  /** 95 % interval of that median; absent where equal programs give equal counts. */
  readonly countCi?: readonly [low: number, high: number];
}

/**
 * What a microcontroller reports of one int8 inference. From a board that is emulated these are instructions or modelled
 * cycles: no microseconds follow from them.
 */
export interface Counts {
  readonly unit: 'cycles' | 'instructions';
  /** Of one inference. On a real board the median over the rounds, which its operators' medians need not add up to. */
  readonly total: number;
  /** 95 % interval of that median; absent on emulated boards, where equal programs give equal counts. */
  readonly totalCi?: readonly [low: number, high: number];
  readonly operators: readonly OperatorCount[];
  /** End of the highest byte of the arena that was used, found by painting; and what the compiler had planned. */
  readonly arenaPeakBytes: number;
  readonly arenaPlannedBytes: number;
  readonly stackPeakBytes: number;
  /** Arena and stack; the firmware's own buffers are not in it. */
  readonly peakRamBytes: number;
  /** The program in flash: records and constants, weights included, as it would be deployed. */
  readonly flashBytes: number;
  /** `pool`: pseudo-random weights that were on the board already; the kernels' time does not depend on values. */
  readonly weights: 'real' | 'pool';
  /** SHA-256 of the firmware's sources, compiler and flags: counts change with each. */
  readonly firmwareBuild: string;
}

/** Everything one visit to a device yields. Nothing is dropped: invalid measurements carry their verdict. */
export interface Measurement {
  readonly target: Target;
  readonly provenance: Provenance;
  readonly protocol: string;
  /** SHA-256 of the network's canonical text, and of its weights. */
  readonly structureHash: string;
  readonly weightsHash: string;
  /** Null where the device counts and does not time: an emulated board. */
  readonly latency: Latency | null;
  /** Null where the device times and does not count. */
  readonly counts: Counts | null;
  readonly memory: Memory;
  readonly verdict: Verdict;
  /** One sentence: which rule led to the verdict, with its figures. */
  readonly reason: string;
  /** Conditions: CPU model, governor, load averages, versions, threads, seed. */
  readonly manifest: { readonly [key: string]: Json };
  /** Every timed round, in order, the rejected ones included. */
  readonly rounds: readonly Round[];
  readonly takenAtMs: number;
  readonly durationMs: number;
}

/** One interleaved round: reference, candidate, reference. Microseconds. */
export interface Round {
  readonly referenceBeforeUs: number;
  readonly candidateUs: number;
  readonly referenceAfterUs: number;
  /** False when the references around the candidate disagree, or the machine was taken away meanwhile. */
  readonly kept: boolean;
}

export const costMetrics = [
  'latencyUs',
  'peakBytes',
  'cycles',
  'instructions',
  'peakRamBytes',
  'flashBytes',
] as const;
export type CostMetric = (typeof costMetrics)[number];

/** Whether a metric is a share of 1: accuracies are. */
export const isShare = (metric: string): boolean => /accuracy/i.test(metric);

/** Whether a metric is counted without error, and has no interval: sizes, memory, and what an emulator counts. */
export function isExact(metric: string, provenance: Provenance): boolean {
  const [name = metric] = metric.split('@');
  if (name === 'cycles' || name === 'instructions') return provenance === 'emulated';
  return ['macs', 'parameters', 'peakBytes', 'peakRamBytes', 'flashBytes'].includes(name);
}

/** The costs a measurement knows, by the names that objectives and limits use. */
export function costsOf({ latency, counts, memory }: Measurement): Partial<Record<CostMetric, number>> {
  return {
    ...(latency && { latencyUs: latency.normalisedUs }),
    ...(memory.peakBytes !== null && { peakBytes: memory.peakBytes }),
    ...(counts && {
      [counts.unit]: counts.total,
      peakRamBytes: counts.peakRamBytes,
      flashBytes: counts.flashBytes,
    }),
  };
}

/** 95 % intervals of the costs that have one, by metric: latencies, and what a real board counts. */
export function costIntervals({ latency, counts }: Measurement): Partial<Record<CostMetric, Interval>> {
  return {
    ...(latency && { latencyUs: latency.normalisedCiUs }),
    ...(counts?.totalCi && { [counts.unit]: counts.totalCi }),
  };
}

/** How fast a network is on a device, in what the device can give: microseconds, or what an emulated board counts. */
export function speedOf({ latency, counts }: Measurement): {
  readonly metric: 'latencyUs' | 'cycles' | 'instructions';
  readonly value: number;
} {
  if (latency) return { metric: 'latencyUs', value: latency.normalisedUs };
  if (counts) return { metric: counts.unit, value: counts.total };
  throw new RangeError('a measurement holds a latency or counts');
}

/** What an operator costs, in what its device can give. */
export const operatorCostOf = ({ medianUs, count }: OperatorCost): number => medianUs ?? count?.value ?? 0;
