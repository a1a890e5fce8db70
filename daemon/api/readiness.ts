import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import { within } from '../core/within.js';

/** A part of the daemon that does not serve now, and why. */
export interface NotReady {
  readonly part: string;
  readonly why: string;
}

/** How long a part may take to answer before it counts as not ready. */
const answerMs = 2000;

/**
 * Whether the daemon serves. It starts part after part, in the order of `parts`; once all have started, those that can be asked
 * are asked each time.
 */
export class Readiness {
  readonly #clock: Clock;
  /** What each part does while it starts. */
  readonly #parts: Readonly<Record<string, string>>;
  readonly #checks = new Map<string, () => Promise<unknown>>();
  /** The part that is starting. */
  #entered: string | undefined;
  #detail: string | undefined;
  #state: 'starting' | 'started' | 'stopping' = 'starting';
  #looking: Promise<readonly NotReady[]> | undefined;

  constructor(clock: Clock, parts: Readonly<Record<string, string>> = {}) {
    this.#clock = clock;
    this.#parts = parts;
  }

  /** A part begins to start: those before it are done. */
  enter(part: string): void {
    this.#entered = part;
    this.#detail = undefined;
  }

  /** What the part that starts is at, in place of what it does in general. */
  say(detail: string): void {
    this.#detail = detail;
  }

  started(): void {
    this.#state = 'started';
  }

  stopping(): void {
    this.#state = 'stopping';
  }

  /** Asks a part that has started, from now on. */
  watch(part: string, check: () => Promise<unknown>): void {
    this.#checks.set(part, check);
  }

  /** Nothing where all parts serve. Many who ask at once share one look. */
  async notReady(withinMs = answerMs): Promise<readonly NotReady[]> {
    if (this.#state === 'stopping') return [{ part: 'daemon', why: 'it is stopping' }];
    if (this.#state === 'starting') return this.#toStart();
    this.#looking ??= this.#look(withinMs).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Throws DAEMON_NOT_READY, with the parts in `details.notReady`. */
  async check(): Promise<void> {
    const notReady = await this.notReady();
    if (notReady.length > 0) throw refusal(notReady);
  }

  #toStart(): NotReady[] {
    const names = Object.keys(this.#parts);
    const at = Math.max(0, names.indexOf(this.#entered ?? ''));
    return names.slice(at).map((part, i) => ({
      part,
      why: i === 0 ? (this.#detail ?? this.#parts[part] ?? '') : 'waits for its turn',
    }));
  }

  async #look(withinMs: number): Promise<readonly NotReady[]> {
    const looks = [...this.#checks].map(async ([part, check]): Promise<NotReady[]> => {
      try {
        await within(withinMs, 'it does not answer', check(), this.#clock);
        return [];
      } catch (thrown) {
        return [{ part, why: asHildaError(thrown).message }];
      }
    });
    return (await Promise.all(looks)).flat();
  }
}

function refusal(notReady: readonly NotReady[]): HildaError {
  const [first] = notReady;
  return new HildaError('DAEMON_NOT_READY', `${first?.part}: ${first?.why}`, {
    details: { notReady: [...notReady], retryAfterS: 1 },
  });
}
