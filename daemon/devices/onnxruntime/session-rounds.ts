import type { RoundLeg, RoundRunner, TimedRound } from '../../measure/round-runner.js';
import type { SessionProcess } from '../../runtime/session-process.js';

/** Times legs in one session process that holds the candidate and both references. */
export class SessionRounds implements RoundRunner {
  readonly holdsBoth = true;
  readonly #process: SessionProcess;
  readonly #handles: Readonly<Record<RoundLeg['network'], number>>;
  /** CPU time says when the process was not running, but only where the CPU does the work. */
  readonly #onCpu: boolean;
  readonly #timeoutMs: number;

  constructor(
    process: SessionProcess,
    options: {
      readonly candidate: number;
      readonly reference: number;
      readonly second: number;
      readonly provider: string;
      readonly timeoutMs: number;
    },
  ) {
    this.#process = process;
    const { candidate, reference, second } = options;
    this.#handles = { candidate, reference, second };
    this.#onCpu = options.provider === 'cpu';
    this.#timeoutMs = options.timeoutMs;
  }

  async time(legs: readonly RoundLeg[], { signal }: { readonly signal: AbortSignal }): Promise<TimedRound> {
    const plan = legs.map(({ network, runs }) => ({ handle: this.#handles[network], runs }));
    const { samplesUs, wallUs, cpuUs, stealShare } = await this.#process.time(plan, {
      signal,
      timeoutMs: this.#timeoutMs,
    });
    const idleShare = this.#onCpu ? Math.max(0, 1 - cpuUs / wallUs) : null;
    const lostShare =
      idleShare === null && stealShare === null ? null : Math.max(idleShare ?? 0, stealShare ?? 0);
    return { samplesUs, lostShare };
  }
}
