import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { Answer, PageCall } from './wire.js';

export interface PageCallOptions {
  readonly signal: AbortSignal;
  /** Of time with the line up: a break counts for nothing. */
  readonly timeoutMs: number;
}

export interface PendingCall {
  readonly id: number;
  readonly call: PageCall;
  resolve(value: unknown): void;
  reject(error: HildaError): void;
}

/** The one call that a page answers now, its number and its time. It outlasts the line that it was said on. */
export class PageCalls {
  readonly #clock: Clock;
  readonly #say: (id: number, call: PageCall) => void;
  #pending: PendingCall | null = null;
  #next = 1;
  /** Ends the running clock of the pending call; it stands still while the line is down. */
  #running: AbortController | null = null;
  #leftMs = 0;

  constructor(clock: Clock, say: (id: number, call: PageCall) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  get pending(): PendingCall | null {
    return this.#pending;
  }

  wasMade(id: number): boolean {
    return id < this.#next;
  }

  /** Throws what `fail` is given, DEVICE_TIMEOUT or INTERRUPTED. After the latter two the worker is told to stop. */
  async make<Call extends PageCall>(
    call: Call,
    { signal, timeoutMs }: PageCallOptions,
    up: boolean,
  ): Promise<Answer<Call['op']>> {
    if (signal.aborted) throw interrupted(signal);
    if (this.#pending) throw new HildaError('INTERNAL', 'a page is called by two at a time');
    const id = this.#next++;
    const onAbort = (): void => this.#giveUp(id, interrupted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const value = await new Promise<unknown>((resolve, reject) => {
        this.#pending = { id, call, resolve, reject };
        this.#leftMs = timeoutMs;
        if (!up) return;
        this.#say(id, call);
        this.#run();
      });
      return value as Answer<Call['op']>;
    } finally {
      this.#running?.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The line is down: the call's time stands still. */
  pause(): void {
    this.#running?.abort();
    this.#running = null;
  }

  /** The line is up again; what the page did not hear is said again. */
  resume(heard: number): void {
    const pending = this.#pending;
    if (!pending) return;
    if (heard < pending.id) this.#say(pending.id, pending.call);
    this.#run();
  }

  /** Hands the pending call to the one who answers it; undefined for an answer that is late. */
  answered(id: number): PendingCall | undefined {
    const pending = this.#pending;
    if (pending?.id !== id) return undefined;
    this.#pending = null;
    return pending;
  }

  fail(error: HildaError): void {
    this.#pending?.reject(error);
    this.#pending = null;
  }

  #run(): void {
    const [pending, clock] = [this.#pending, this.#clock];
    if (!pending) return;
    this.pause();
    const running = new AbortController();
    this.#running = running;
    const startUs = clock.monotonicUs();
    const leftMs = this.#leftMs;
    clock.sleep(leftMs, { signal: running.signal }).then(
      () => this.#giveUp(pending.id, timeout(pending.call)),
      () => {
        this.#leftMs = leftMs - (clock.monotonicUs() - startUs) / 1000;
      },
    );
  }

  /** Ends the worker, which alone stops an endless network. The page's late reply is dropped by its number. */
  #giveUp(id: number, error: HildaError): void {
    const pending = this.answered(id);
    if (!pending) return;
    this.#say(this.#next++, { op: 'stop' });
    pending.reject(error);
  }
}

const timeout = ({ op }: PageCall): HildaError =>
  new HildaError('DEVICE_TIMEOUT', `"${op}" did not end in time on the page`);

const interrupted = (signal: AbortSignal): HildaError =>
  new HildaError('INTERRUPTED', 'the call to the page was aborted', { cause: signal.reason });
