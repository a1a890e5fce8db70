import { type Architecture, architectureId } from '../core/architecture.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { ArchitectureId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { onAbort } from '../core/on-abort.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import { type GivenValue, readGiven } from '../evaluate/given-values.js';
import type { Proposal } from '../search/samplers/contract.js';

/** The sampler's name in a study whose proposals come over HTTP. */
export const externalSampler = 'external';

/** One of a trial's results, given from outside. */
export type OutsideResult =
  | {
      readonly values: Readonly<Record<string, GivenValue>>;
      /** One number a limit of the evaluator's own; at most 0 keeps it, as in Optuna. */
      readonly constraints?: readonly number[] | undefined;
    }
  | {
      /** `pruned`: its training was cut off; it is told as failed, since no value is known. */
      readonly state: 'failed' | 'infeasible' | 'pruned';
      readonly reason: string;
    };

/** The constraint values of a stored result; none where it has none. */
export const toldConstraints = (result: Json | null): readonly number[] =>
  (result as Partial<Extract<OutsideResult, { values: unknown }>> | null)?.constraints ?? [];

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
        const stopListening = onAbort(signal, () => reject(signal.reason));
        this.#wake = () => {
          stopListening();
          resolve();
        };
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

/** Who takes care of a trial, and until when nobody else is given it. */
interface Claim {
  readonly holder: string;
  /** Without a word of it. */
  readonly holdMs: number;
  readonly untilMs: number;
}

/** What evidence and reasons say of such results. */
const source = 'reported over HTTP';

/** What was told of an architecture before; null where nothing was. */
export type Recall = (id: ArchitectureId) => Promise<OutsideResult | null>;

/** Qualities that somebody outside finds out: `evaluate` waits until `answer` is called for the architecture. */
export class OutsideEvaluator implements Evaluator {
  readonly cost = 'train';
  readonly isOutside = true;
  readonly metrics: readonly string[];
  readonly #spaceId: string;
  readonly #questions = new Map<ArchitectureId, Question>();
  readonly #claims = new Map<ArchitectureId, Claim>();
  #recall: Recall = async () => null;
  #changes = 0;

  constructor(spaceId: string, metrics: readonly string[]) {
    this.#spaceId = spaceId;
    this.metrics = metrics;
  }

  /** Where results that were told already are found. */
  recallBy(recall: Recall): void {
    this.#recall = recall;
  }

  /** Grows whenever a trial begins to wait, no longer waits, or is claimed. */
  get changes(): number {
    return this.#changes;
  }

  get waiting(): ReadonlySet<ArchitectureId> {
    return new Set(this.#questions.keys());
  }

  /** Whether nobody but this holder takes care of it. */
  isFree(id: ArchitectureId, holder: string | undefined, nowMs: number): boolean {
    const claim = this.#claims.get(id);
    return claim === undefined || claim.holder === holder || claim.untilMs <= nowMs;
  }

  claim(id: ArchitectureId, { nowMs, ...claim }: Omit<Claim, 'untilMs'> & { readonly nowMs: number }): void {
    this.#claims.set(id, { ...claim, untilMs: nowMs + claim.holdMs });
    this.#changes++;
  }

  /** Somebody said how far it is: the holder is at work. */
  renew(id: ArchitectureId, nowMs: number): void {
    const claim = this.#claims.get(id);
    if (claim) this.claim(id, { ...claim, nowMs });
  }

  async evaluate(architecture: Architecture, { signal }: { readonly signal: AbortSignal }): Promise<Quality> {
    signal.throwIfAborted();
    const id = architectureId(this.#spaceId, architecture);
    let stopListening: (() => void) | undefined;
    const answered = new Promise<Quality>((resolve, reject) => {
      stopListening = onAbort(signal, () => reject(signal.reason));
      this.#questions.set(id, { resolve, reject });
      this.#changes++;
    });
    // Asked for before it is looked up: what is told between the two is heard twice, and never missed.
    this.#recall(id).then(
      (told) => told && this.answer(id, told),
      (error: unknown) => this.#questions.get(id)?.reject(asHildaError(error)),
    );
    try {
      return await answered;
    } finally {
      stopListening?.();
      this.#questions.delete(id);
      this.#claims.delete(id);
      this.#changes++;
    }
  }

  /** Gives a result that `checkResult` accepted to who waits for it, if anybody does. */
  answer(id: ArchitectureId, result: OutsideResult): void {
    const question = this.#questions.get(id);
    if (!question) return;
    if ('values' in result) question.resolve(qualityOf(result, this.metrics));
    else if (result.state === 'infeasible')
      question.resolve({ values: {}, source, broken: `${source}: ${result.reason}` });
    else question.reject(new HildaError('EVALUATION_FAILED', `${source}: ${result.state}: ${result.reason}`));
  }

  async close(): Promise<void> {}
}

/** Throws SPEC_INVALID where a result lacks a metric or gives one that cannot be. */
export function checkResult(result: OutsideResult, metrics: readonly string[]): void {
  if ('values' in result) qualityOf(result, metrics);
}

/** Metrics that were not asked for are left out. */
function qualityOf(
  { values, constraints = [] }: Extract<OutsideResult, { values: unknown }>,
  metrics: readonly string[],
): Quality {
  const missing = metrics.filter((metric) => !Object.hasOwn(values, metric));
  if (missing.length > 0)
    throw new HildaError('SPEC_INVALID', `the result lacks ${missing.join(', ')}`, { details: { missing } });
  const given = Object.fromEntries(metrics.map((metric) => [metric, values[metric] as GivenValue]));
  const quality = readGiven(given, { source, code: 'SPEC_INVALID' });
  const broken = constraints.findIndex((value) => value > 0);
  return broken < 0
    ? quality
    : { ...quality, broken: `told constraint ${broken}: ${constraints[broken]} > 0` };
}
