import { JobQueue } from './job-queue.js';

/**
 * One job at a time for each host whose processors devices share (`Sighting.host`): side by side they would void each other's
 * times. Devices without a host have processors of their own and wait for nobody.
 */
export class HostTurns {
  readonly #queues = new Map<string, JobQueue>();

  /** Throws what the job throws, and the signal's reason where it aborts before the turn comes. */
  run<T>(
    host: string | null,
    job: () => Promise<T>,
    turn: { readonly priority: number; readonly signal: AbortSignal },
  ): Promise<T> {
    if (host === null) return job();
    const queue = this.#queues.get(host) ?? new JobQueue();
    this.#queues.set(host, queue);
    return queue.run(job, turn);
  }
}
