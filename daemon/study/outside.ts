import { type Architecture, architectureId } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { ArchitectureId } from '../core/ids.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import { type GivenValue, readGiven } from '../evaluate/given-values.js';
import type { Proposal } from '../search/samplers/contract.js';

/** The sampler's name in a study whose proposals come over HTTP. */
export const externalSampler = 'external';

/** One of a trial's results, given from outside. */
export type OutsideResult =
  | { readonly values: Readonly<Record<string, GivenValue>> }
  | { readonly state: 'failed' | 'infeasible'; readonly reason: string };

/** Proposals on their way from a caller to the loop. Those not yet asked are lost with the process, and never acknowledged. */
export class ProposalInbox {
  #waiting: Proposal[] = [];
  #wake: (() => void) | undefined;

  offer(proposals: readonly Proposal[]): void {
    this.#waiting.push(...proposals);
    this.#wake?.();
  }

  /** Up to n proposals, as soon as there is one. Rejects with the signal's reason on abort. */
  async take(n: number, { signal }: { readonly signal: AbortSignal }): Promise<Proposal[]> {
    while (this.#waiting.length === 0) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason);
        this.#wake = () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        signal.addEventListener('abort', onAbort, { once: true });
      });
      this.#wake = undefined;
    }
    return this.#waiting.splice(0, n);
  }
}

interface Question {
  readonly resolve: (quality: Quality) => void;
  readonly reject: (error: HildaError) => void;
}

/** Qualities that somebody outside finds out: `evaluate` waits until `answer` is called for the architecture. */
export class OutsideEvaluator implements Evaluator {
  readonly cost = 'train';
  readonly metrics: readonly string[];
  readonly #spaceId: string;
  readonly #questions = new Map<ArchitectureId, Question>();

  constructor(spaceId: string, metrics: readonly string[]) {
    this.#spaceId = spaceId;
    this.metrics = metrics;
  }

  get waiting(): ReadonlySet<ArchitectureId> {
    return new Set(this.#questions.keys());
  }

  evaluate(architecture: Architecture, { signal }: { readonly signal: AbortSignal }): Promise<Quality> {
    const id = architectureId(this.#spaceId, architecture);
    return new Promise<Quality>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        this.#questions.delete(id);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const settle =
        <T>(end: (value: T) => void) =>
        (value: T): void => {
          signal.removeEventListener('abort', onAbort);
          this.#questions.delete(id);
          end(value);
        };
      this.#questions.set(id, { resolve: settle(resolve), reject: settle(reject) });
    });
  }

  /** Throws STATE_CONFLICT when nobody waits for this architecture, SPEC_INVALID when a metric is missing or wrong. */
  answer(id: ArchitectureId, result: OutsideResult): void {
    const question = this.#questions.get(id);
    if (!question)
      throw new HildaError('STATE_CONFLICT', `no trial waits for a result of the architecture ${id}`, {
        hint: 'Ask which trials wait: POST /v1/studies/{id}/ask.',
      });
    if (!('values' in result)) {
      const code = result.state === 'failed' ? 'MEASUREMENT_INVALID' : 'NETWORK_REJECTED';
      question.reject(
        new HildaError(code, `reported from outside: ${result.reason}`, {
          ...(result.state === 'infeasible' && { details: { atFault: 'network' } }),
        }),
      );
      return;
    }
    const given = new Map(Object.entries(result.values));
    const missing = this.metrics.filter((metric) => !given.has(metric));
    if (missing.length > 0)
      throw new HildaError('SPEC_INVALID', `the result lacks ${missing.join(', ')}`, {
        details: { missing },
      });
    const asked = this.metrics.map((metric) => [metric, given.get(metric) as GivenValue]);
    question.resolve(
      readGiven(Object.fromEntries(asked), { source: 'reported over HTTP', code: 'SPEC_INVALID' }),
    );
  }

  async close(): Promise<void> {}
}
