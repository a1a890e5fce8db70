import type { Clock } from '../../../core/clock.js';
import { asHildaError, HildaError } from '../../../core/errors.js';
import type { Measurement, Round } from '../../../core/measurement.js';
import { Xoshiro128 } from '../../../core/rng.js';
import type { Target } from '../../../core/target.js';
import { networkFacts } from '../../../measure/network-facts.js';
import type { Protocol } from '../../../measure/protocol.js';
import { relativeHalfWidth, summarise } from '../../../measure/statistics.js';
import { elementCount, type Graph } from '../../../network/graph.js';
import type { CallOptions, Device, Limits } from '../../contract.js';
import type { MlperfTinyLine } from './protocol.js';

export interface MlperfTinyDeviceOptions {
  readonly target: Target;
  readonly model: string;
  readonly line: MlperfTinyLine;
  readonly clock: Clock;
}

/** One timed command lasts about this long: far above the microsecond of the firmware's clock. */
const leastUs = 200_000;
const mostRuns = 1500;

/**
 * A board with a vendor's MLPerf Tiny firmware. Its model is compiled in: `measure` times that model, and takes the
 * network only for its input's size and as the name under which the latency is kept. Whoever measures vouches that
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
    try {
      signal.throwIfAborted();
      await line.load(randomInput(network), signal);
      const loadUs = clock.monotonicUs() - startUs;
      const first = await line.infer(1, 0, signal);
      const runs = Math.min(mostRuns, Math.max(1, Math.ceil(leastUs / Math.max(1, first.latencyUs))));
      const rng = Xoshiro128.fromSeed(1);
      const latencies: number[] = [];
      const results = new Set<string>([first.results.join()]);
      let rawUs = summarise([first.latencyUs], rng);
      while (latencies.length < protocol.maxRounds) {
        onProgress?.({ step: 'rounds', done: latencies.length, of: protocol.maxRounds });
        const timed = await line.infer(runs, latencies.length === 0 ? 10 : 0, signal);
        latencies.push(timed.latencyUs);
        results.add(timed.results.join());
        rawUs = summarise(latencies, rng);
        const enough =
          latencies.length >= protocol.minRounds && relativeHalfWidth(rawUs) <= protocol.ciHalfWidth;
        if (enough || clock.nowMs() - takenAtMs > protocol.maxMs) break;
      }
      const facts = networkFacts(network);
      return {
        target: this.target,
        provenance: 'measured',
        protocol: protocol.name,
        structureHash: facts.structureHash,
        weightsHash: facts.weightsHash,
        latency: {
          rawUs,
          ratio: summarise(
            latencies.map((us) => us / rawUs.median),
            rng,
          ),
          normalisedUs: rawUs.median,
          normalisedCiUs: [rawUs.ciLow, rawUs.ciHigh],
          reference: 'none',
          loadUs,
          firstRunUs: first.latencyUs,
        },
        counts: null,
        memory: {
          weightBytes: facts.weightBytes,
          activationPeakBytes: null,
          peakBytes: null,
          runPeakRssBytes: null,
        },
        ...judge(rawUs, results.size, protocol, first.latencyUs),
        manifest: { firmware: this.target.runtimeVersion, model, runsPerRound: runs, memory: 'not reported' },
        rounds: latencies.map((candidateUs) => ownRound(candidateUs, rawUs.median)),
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
const ownRound = (candidateUs: number, medianUs: number): Round => ({
  referenceBeforeUs: medianUs,
  candidateUs,
  referenceAfterUs: medianUs,
  kept: true,
});

function judge(
  rawUs: ReturnType<typeof summarise>,
  outputs: number,
  protocol: Protocol,
  firstUs: number,
): Pick<Measurement, 'verdict' | 'reason'> {
  if (outputs > 1) return { verdict: 'suspect', reason: `The same input gave ${outputs} outputs.` };
  if (!(rawUs.min > 0) || !(firstUs > 0))
    return { verdict: 'suspect', reason: 'The firmware reports a time that is not positive.' };
  const width = relativeHalfWidth(rawUs);
  return width <= protocol.ciHalfWidth
    ? { verdict: 'valid', reason: `${rawUs.n} rounds, median within ${(width * 100).toFixed(2)} %.` }
    : {
        verdict: 'noisy',
        reason: `After ${rawUs.n} rounds the median is known to ${(width * 100).toFixed(2)} % only.`,
      };
}

/** One byte a value, as the reference models take their inputs. */
function randomInput(network: Graph): Uint8Array {
  const rng = Xoshiro128.fromSeed(1);
  const dims = (network.inputs[0]?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  return Uint8Array.from({ length: elementCount(dims) }, () => Math.floor(rng.next() * 256));
}
