import type { Clock } from '../core/clock.js';
import type { Protocol } from '../measure/protocol.js';
import type { StudySpec } from './spec.js';
import { timeLeft } from './time-left.js';

interface HasteParts {
  readonly spec: Pick<StudySpec, 'budget'>;
  readonly clock: Clock;
  readonly protocol: Protocol;
  readonly slowProtocol?: Protocol | undefined;
  readonly onStep?: (step: string) => void;
}

/**
 * Which protocol the next batch is measured with. A machine that is too slow for its budget spends less on each trial: once the
 * pace since the start would not reach all trials in time, what follows is measured with `slowProtocol`. Each measurement names
 * the protocol it was taken with, and keeps to that protocol's limits.
 */
export class Haste {
  readonly #parts: HasteParts;
  readonly #startedMs: number;
  /** Trials that had ended before this start. */
  readonly #before: number;
  #isShort = false;

  constructor(parts: HasteParts, before: number) {
    this.#parts = parts;
    this.#startedMs = parts.clock.nowMs();
    this.#before = before;
  }

  get protocol(): Protocol {
    const { protocol, slowProtocol } = this.#parts;
    return this.#isShort && slowProtocol ? slowProtocol : protocol;
  }

  /** `ended`: trials of the study that have ended by now. */
  look(ended: number): void {
    const { spec, clock, slowProtocol, onStep } = this.#parts;
    if (this.#isShort || !slowProtocol) return;
    const left = spec.budget.trials - ended;
    const { reached } = timeLeft({
      nowMs: clock.nowMs(),
      startedMs: this.#startedMs,
      ended: ended - this.#before,
      left,
      maxMinutes: spec.budget.maxMinutes,
    });
    if (reached === null || reached >= left) return;
    this.#isShort = true;
    onStep?.(`time is enough for ${reached} of ${left} trials: go on with the protocol ${slowProtocol.name}`);
  }
}
