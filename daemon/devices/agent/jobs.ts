import { randomUUID } from 'node:crypto';
import type { HildaError } from '../../core/errors.js';
import { contentHash } from '../content-hash.js';
import type { CallOptions } from '../contract.js';
import type { SentWork } from '../work.js';
import type { Binding, SentNetwork } from './sent-network.js';
import type { Hold } from './wire.js';

/** Bytes that an agent may ask for by their hash. */
export interface Blob {
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

/** What an agent said, unchecked. */
export interface Answer {
  readonly value: unknown;
  readonly bytes: Uint8Array | null;
  /** See `agentMessageSchema`; 0 for work that was done as it was asked for. */
  readonly heldMs: number;
}

export interface Job {
  readonly id: string;
  readonly agentId: string;
  readonly device: string;
  readonly work: SentWork;
  readonly model: (Blob & { readonly binding: Binding }) | null;
  readonly feeds: Blob | null;
  readonly inputs: Blob | null;
  readonly onProgress: CallOptions['onProgress'];
  epoch: number;
  expiresMs: number;
  /** Whether the present epoch was told to the agent. */
  told: boolean;
  /** Contents that the agent asked for and does not have yet, by SHA-256. */
  readonly coming: Set<string>;
  resolve(answer: Answer): void;
  reject(error: HildaError): void;
}

/** How many taken results are remembered, to tell a repeated one from a late one. */
const rememberTaken = 10_000;

/** The open jobs of all agents, and what became of the last ones. */
export class JobBook {
  readonly #open = new Map<string, Job>();
  readonly #taken = new Set<string>();
  /** Results that came after their lease had run out, or from an agent that does not hold it. */
  refused = 0;

  open(
    job: Omit<Job, 'id' | 'epoch' | 'told' | 'coming' | 'model' | 'feeds' | 'inputs'> & {
      readonly network: SentNetwork | null;
      readonly inputs: Uint8Array | null;
    },
  ): Job {
    const { network, inputs, ...rest } = job;
    const opened: Job = {
      ...rest,
      id: randomUUID(),
      model: network && { ...blobOf(network.model), binding: network.binding },
      feeds: network?.feeds ? blobOf(network.feeds) : null,
      inputs: inputs && blobOf(inputs),
      epoch: 1,
      told: false,
      coming: new Set(),
    };
    this.#open.set(opened.id, opened);
    return opened;
  }

  close(job: Job): void {
    this.#open.delete(job.id);
  }

  /** The open job that this agent holds under this epoch. */
  held(agentId: string, { job: id, epoch }: Hold): Job | undefined {
    const job = this.#open.get(id);
    return job?.agentId === agentId && job.epoch === epoch && job.told ? job : undefined;
  }

  ofAgent(agentId: string): Job[] {
    return [...this.#open.values()].filter((job) => job.agentId === agentId);
  }

  /**
   * Decides on a result: the job when it is the one that was waited for; `repeated` when it was taken before and its
   * acknowledgement got lost; `late` otherwise, which is counted.
   */
  take(agentId: string, hold: Hold): Job | 'repeated' | 'late' {
    const key = `${agentId} ${hold.job} ${hold.epoch}`;
    const job = this.held(agentId, hold);
    if (job) {
      this.close(job);
      this.#taken.add(key);
      const [oldest] = this.#taken;
      if (this.#taken.size > rememberTaken && oldest !== undefined) this.#taken.delete(oldest);
      return job;
    }
    if (this.#taken.has(key)) return 'repeated';
    this.refused++;
    return 'late';
  }
}

const blobOf = (bytes: Uint8Array): Blob => ({ sha256: contentHash(bytes), bytes });
