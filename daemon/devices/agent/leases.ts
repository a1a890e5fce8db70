import type { Clock } from '../../core/clock.js';
import { asHildaError, fromErrorDocument, HildaError } from '../../core/errors.js';
import type { BulkReceiver } from '../../core/link/bulk-receiver.js';
import type { CallOptions } from '../contract.js';
import { unreached } from '../unreached.js';
import type { SentWork } from '../work.js';
import { failureOf } from './agent-failures.js';
import { type Answer, type Job, JobBook } from './jobs.js';
import type { SentNetwork } from './sent-network.js';
import type { AgentSession } from './session.js';
import { type AgentMessage, type Hold, sameHold } from './wire.js';

export interface AgentLeasesOptions {
  readonly clock: Clock;
  /** How long a job outlives its agent's last sign of life. */
  readonly leaseMs: number;
  readonly sessionOf: (agentId: string) => AgentSession | undefined;
}

export interface PerformOptions extends CallOptions {
  readonly network?: SentNetwork | null;
  readonly inputs?: Uint8Array | null;
}

export interface LeaseCounts {
  /** Late or foreign results that were refused. */
  readonly refusedResults: number;
  /** Models of which at least the beginning was sent. */
  readonly transfers: number;
  readonly leases: number;
}

type Said<Op> = Extract<AgentMessage, { op: Op }>;

/** How often a job is given anew to an agent that lost it. */
const mostEpochs = 5;

/**
 * The jobs given to agents, each under a lease. Signs of life extend it. A job whose lease ran out is DEVICE_GONE for who
 * waits for it, and its result, should it come, is refused and counted.
 */
export class AgentLeases {
  readonly #options: AgentLeasesOptions;
  readonly #jobs = new JobBook();
  #transfers = 0;
  #leases = 0;

  constructor(options: AgentLeasesOptions) {
    this.#options = options;
  }

  get counts(): LeaseCounts {
    return { refusedResults: this.#jobs.refused, transfers: this.#transfers, leases: this.#leases };
  }

  /** Has an agent's device do some work; answers with what the agent says, unchecked. Throws as `Device` does. */
  async perform(
    agentId: string,
    device: string,
    work: SentWork,
    { signal, onProgress, network = null, inputs = null }: PerformOptions,
  ): Promise<Answer> {
    const { clock, leaseMs, sessionOf } = this.#options;
    if (signal.aborted) throw interrupted(signal);
    const ended = new AbortController();
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const expiresMs = clock.nowMs() + leaseMs;
        const asked = { agentId, device, work, network, inputs, onProgress };
        const job = this.#jobs.open({ ...asked, expiresMs, resolve, reject });
        const session = sessionOf(agentId);
        if (session) this.#lease(session, job);
        const cancel = (): void => {
          this.#jobs.close(job);
          sessionOf(agentId)?.say({ op: 'cancel', job: job.id, epoch: job.epoch });
          reject(interrupted(signal));
        };
        signal.addEventListener('abort', cancel, { once: true });
        ended.signal.addEventListener('abort', () => signal.removeEventListener('abort', cancel));
        void this.#expire(job, ended.signal);
      });
    } finally {
      ended.abort();
    }
  }

  /** Of what an agent says it holds, what it is waited for; it goes on. */
  keep(agentId: string, holds: readonly Hold[]): Hold[] {
    return holds.filter((hold) => this.#extend(agentId, hold));
  }

  /** Gives the agent its other jobs: what it does not know of them it never got, or lost with its memory. */
  giveOthers(session: AgentSession, kept: readonly Hold[]): void {
    for (const job of this.#jobs.ofAgent(session.id)) {
      if (kept.some((hold) => sameHold(hold, { job: job.id, epoch: job.epoch }))) continue;
      if (job.told) job.epoch++;
      job.told = false;
      if (job.epoch <= mostEpochs) this.#lease(session, job);
      else
        this.#fail(
          job,
          new HildaError('DEVICE_GONE', `the agent ${session.id} lost the job ${mostEpochs} times`),
        );
    }
  }

  /** Ends all jobs of an agent that is waited for no longer. */
  failAll(agentId: string, error: HildaError): void {
    for (const job of this.#jobs.ofAgent(agentId)) this.#fail(job, error);
  }

  heartbeat(session: AgentSession, { running }: Said<'heartbeat'>): void {
    for (const hold of running) {
      if (!this.#extend(session.id, hold)) session.say({ op: 'cancel', ...hold });
    }
  }

  progress(session: AgentSession, message: Said<'progress'>): void {
    this.#extend(session.id, message)?.onProgress?.(message);
  }

  /** Sends a content that a job needs. What stops a transfer, but for the end of the line, stops its job. */
  async send(session: AgentSession, { sha256, ...hold }: Hold & { readonly sha256: string }): Promise<void> {
    const job = this.#extend(session.id, hold);
    const blob = [job?.model, job?.feeds, job?.inputs].find((blob) => blob?.sha256 === sha256);
    // A job that ended meanwhile: the agent is told so by its next heartbeat.
    if (!job || !blob) return;
    if (blob === job.model && !session.begun.has(sha256)) {
      session.begun.add(sha256);
      this.#transfers++;
    }
    job.coming.add(sha256);
    try {
      await session.bulk.deliver(blob.bytes, sha256);
      job.coming.delete(sha256);
    } catch (thrown) {
      if (!session.connection || !this.#jobs.held(session.id, hold)) return;
      session.say({ op: 'cancel', ...hold });
      this.#fail(job, asHildaError(thrown));
    }
  }

  /** Takes a job's end, or refuses it as late. Throws MESSAGE_INVALID for a result without its bytes. */
  end(session: AgentSession, message: Said<'result' | 'failed'>): void {
    const { job: id, epoch } = message;
    // Before the job is closed: a result without its bytes is none.
    const answer = contentsOf(message, session.received);
    const job = this.#jobs.take(session.id, { job: id, epoch });
    session.say({ op: 'ack', job: id, epoch, accepted: job !== 'late' });
    if (typeof job === 'string') return;
    if (message.op === 'result') job.resolve(answer);
    else job.reject(failureOf(job, fromErrorDocument(message.error)));
  }

  #lease(session: AgentSession, job: Job): void {
    if (!session.connection) return;
    job.told = true;
    job.coming.clear();
    this.#leases++;
    const { id, epoch, device, work, model, feeds, inputs } = job;
    session.say({
      op: 'lease',
      job: id,
      epoch,
      device,
      work,
      model: model && { sha256: model.sha256, bytes: model.bytes.byteLength, binding: model.binding },
      feeds: feeds && { sha256: feeds.sha256, bytes: feeds.bytes.byteLength },
      inputs: inputs && { sha256: inputs.sha256, bytes: inputs.bytes.byteLength },
    });
  }

  #extend(agentId: string, hold: Hold): Job | undefined {
    const { clock, leaseMs } = this.#options;
    const job = this.#jobs.held(agentId, hold);
    if (job) job.expiresMs = clock.nowMs() + leaseMs;
    return job;
  }

  async #expire(job: Job, ended: AbortSignal): Promise<void> {
    const { clock, leaseMs } = this.#options;
    try {
      for (;;) {
        await clock.sleep(Math.max(1, job.expiresMs - clock.nowMs()), { signal: ended });
        if (job.expiresMs > clock.nowMs()) continue;
        const silence = `the agent ${job.agentId} gave no sign of life for ${leaseMs} ms`;
        this.#fail(job, new HildaError('DEVICE_GONE', silence));
        return;
      }
    } catch {
      // The job ended before its lease.
    }
  }

  #fail(job: Job, error: HildaError): void {
    this.#jobs.close(job);
    job.reject(job.coming.size > 0 ? unreached(error) : error);
  }
}

/** A result's value and tensors. Throws MESSAGE_INVALID where a content that it names is not here. */
function contentsOf(message: Said<'result' | 'failed'>, received: BulkReceiver): Answer {
  if (message.op === 'failed') return { value: null, bytes: null, heldMs: 0 };
  const { value, valueContent, tensors, heldMs = 0 } = message;
  return {
    value:
      valueContent === undefined ? value : JSON.parse(Buffer.from(received.take(valueContent)).toString()),
    bytes: tensors === undefined ? null : received.take(tensors),
    heldMs,
  };
}

const interrupted = (signal: AbortSignal): HildaError =>
  new HildaError('INTERRUPTED', 'the job of the agent was aborted', { cause: signal.reason });
