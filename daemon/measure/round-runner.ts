/** `runs` timed inferences in a row of one of the networks that stand side by side. */
export interface RoundLeg {
  readonly network: LegNetwork;
  readonly runs: number;
}

/** `second`: the other reference, where a device holds both; then `reference` is the convolution and it the transformer. */
export type LegNetwork = 'candidate' | 'reference' | 'second';

export interface TimedRound {
  /** Microseconds, one entry a run, one array a leg. */
  readonly samplesUs: readonly Float64Array[];
  /**
   * Share of the round's time in which the machine was taken away (hypervisor steal, or the process had no CPU);
   * null where the device cannot tell.
   */
  readonly lostShare: number | null;
}

/**
 * What the protocol loop asks of a device: to time legs, back to back, with both networks loaded and their inputs
 * fixed. The one thing to write for a new kind of device; the loop, its statistics and verdicts are shared.
 */
export interface RoundRunner {
  /** Whether both references stand beside the candidate. A device with one takes the one that is more like it. */
  readonly holdsBoth?: boolean;
  time(legs: readonly RoundLeg[], options: { readonly signal: AbortSignal }): Promise<TimedRound>;
}
