import type { Clock } from '../../../core/clock.js';
import { asHildaError, HildaError } from '../../../core/errors.js';
import type { Measurement, Round } from '../../../core/measurement.js';
import { Xoshiro128 } from '../../../core/rng.js';
import type { Target } from '../../../core/target.js';
import { networkFacts } from '../../../measure/network-facts.js';
import type { Protocol } from '../../../measure/protocol.js';
import { summarise } from '../../../measure/statistics.js';
import { elementCount, type Graph } from '../../../network/graph.js';
import type { CallOptions, Device, Limits } from '../../contract.js';
import { judge } from './judge.js';
import type { MlperfTinyLine } from './protocol.js';
import { type TimedRound, takeRounds } from './rounds.js';

export interface MlperfTinyDeviceOptions {
  readonly target: Target;
  readonly model: string;
  readonly line: MlperfTinyLine;
  readonly clock: Clock;
}

/**
 * A board with a vendor's MLPerf Tiny firmware. Its model is compiled in: `measure` times that model, and takes the
 * network only for its input's size and as the name under which the latency is kept. The person who measures vouches that
 * they are the same.
 */
export class MlperfTinyDevice implements Device {
  readonly target: Target;
  readonly limits: Limits = { memoryBytes: null, weightBytes: null };
  readonly #options: MlperfTinyDeviceOptions;
  #closed = false;

  constructor(options: MlperfTinyDeviceOptions) {
    this.target = options.target;
    this.#options = options;
  }

  async measure(
    network: Graph,
    protocol: Protocol,
    { signal, onProgress }: CallOptions,
  ): Promise<Measurement> {
    const { line, clock, model } = this.#options;
    if (this.#closed) throw new HildaError('DEVICE_FAILED', 'the device was closed');
    const takenAtMs = clock.nowMs();
    const startUs = clock.monotonicUs();
    let done = 0;
    const tell = (): void => onProgress?.({ step: 'rounds', done, of: protocol.maxRounds });
    try {
      signal.throwIfAborted();
      const onRound = (rounds: number): void => {
        done = rounds;
        tell();
      };
      const taken = await takeRounds(line, randomInput(network), protocol, {
        clock,
        signal,
        onRound,
        onWait: tell,
      });
      const { rawUs, loadUs, firstRunUs, rounds } = taken;
      const facts = networkFacts(network);
      const ratios = rounds
        .filter(({ kept }) => kept)
        .map(({ latencyUs }) => latencyUs / (rawUs.median || 1));
      return {
        target: this.target,
        provenance: 'measured',
        protocol: protocol.name,
        structureHash: facts.structureHash,
        weightsHash: facts.weightsHash,
        latency: {
          rawUs,
          ratio: summarise(ratios, Xoshiro128.fromSeed(1)),
          normalisedUs: rawUs.median,
          normalisedCiUs: [rawUs.ciLow, rawUs.ciHigh],
          reference: 'none',
          loadUs,
          firstRunUs,
        },
        counts: null,
        memory: {
          weightBytes: facts.weightBytes,
          activationPeakBytes: null,
          peakBytes: null,
          runPeakRssBytes: null,
        },
        ...judge(taken, protocol),
        manifest: {
          firmware: this.target.runtimeVersion,
          model,
          runsPerRound: taken.runsPerRound,
          memory: 'not reported',
          unusableAnswers: taken.unusable,
          restarts: taken.restarts,
          lineMs: line.roundTripUs / 1000,
        },
        rounds: rounds.map((round) => ownRound(round, rawUs.median)),
        takenAtMs,
        durationMs: (clock.monotonicUs() - startUs) / 1000,
      };
    } catch (thrown) {
      if (signal.aborted)
        throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: thrown });
      throw asHildaError(thrown);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#options.line.close();
  }
}

/** No reference network can run beside a compiled-in model: the median stands in its place. */
const ownRound = ({ latencyUs, kept }: TimedRound, medianUs: number): Round => ({
  referenceBeforeUs: medianUs,
  candidateUs: latencyUs,
  referenceAfterUs: medianUs,
  kept,
});

/** One byte a value, as the reference models take their inputs. */
function randomInput(network: Graph): Uint8Array {
  const rng = Xoshiro128.fromSeed(1);
  const dims = (network.inputs[0]?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  return Uint8Array.from({ length: elementCount(dims) }, () => Math.floor(rng.next() * 256));
}
