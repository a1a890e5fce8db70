import { asHildaError, type HildaError } from '../core/errors.js';
import { BulkReceiver } from '../core/link/bulk-receiver.js';
import type { Acknowledgement, BlobAnnouncement } from '../core/link/pieces.js';
import { type Hold, type HubMessage, sameHold } from '../devices/agent/wire.js';
import { contentHash } from '../devices/content-hash.js';
import type { ModelCache } from './model-cache.js';

export type Lease = Extract<HubMessage, { op: 'lease' }>;

/** What a job needs before it can begin; null for what it does without. */
export type Coming = Readonly<Record<'model' | 'feeds' | 'inputs', Promise<Uint8Array> | null>>;

/** Hears of the bytes once they are here, or of what keeps them from coming. */
interface Awaited {
  here(bytes: Uint8Array): void;
  failed(error: HildaError): void;
}

interface Waiting {
  readonly lease: Lease;
  /** By SHA-256. */
  readonly awaited: Map<string, Awaited>;
}

export interface AgentContentsOptions {
  readonly models: ModelCache;
  /** Asks the daemon for a content, where there is a link. */
  readonly need: (hold: Hold, sha256: string) => void;
  readonly onEvent?: (event: string, details: Readonly<Record<string, unknown>>) => void;
}

/** As large as any model that the daemon takes. */
const maxModelBytes = 256 * 2 ** 20;

/** Contents that jobs wait for: from the disk, or over as many links as it takes. Two jobs of one content fetch it once. */
export class AgentContents {
  readonly #options: AgentContentsOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Asked for over the present link. */
  readonly #asked = new Set<string>();
  /** What came of a content when the link broke is there when it is asked for again. */
  readonly #received = new BulkReceiver({ maxBytes: 2 * maxModelBytes, hash: contentHash });

  constructor(options: AgentContentsOptions) {
    this.#options = options;
  }

  /** Asks for all that a job needs. What comes rejects with the signal's reason once the job is dropped. */
  await(lease: Lease, signal: AbortSignal): Coming {
    const awaited = new Map<string, Awaited>();
    const blob = (named: Lease['inputs']): Promise<Uint8Array> | null => {
      if (!named) return null;
      const bytes = new Promise<Uint8Array>((resolve, reject) => {
        awaited.set(named.sha256, { here: resolve, failed: reject });
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      bytes.catch(() => {});
      return bytes;
    };
    const coming = { model: blob(lease.model), feeds: blob(lease.feeds), inputs: blob(lease.inputs) };
    const waiting = { lease, awaited };
    this.#waiting.set(lease.job, waiting);
    void this.#ask(waiting);
    return coming;
  }

  /** A job ended or was dropped. The daemon sends for jobs it waits for alone: others ask in their own name. */
  forget({ job, epoch }: Hold): void {
    const waiting = this.#waiting.get(job);
    if (waiting?.lease.epoch !== epoch) return;
    this.#waiting.delete(job);
    for (const wanted of waiting.awaited.keys()) {
      if (!this.#asked.delete(wanted)) continue;
      for (const other of this.#waiting.values())
        if (other.awaited.has(wanted)) void this.#askFor(wanted, other);
    }
  }

  /** A new link: what was on its way when the last one broke is asked for from where it stopped. */
  resume(): void {
    this.#asked.clear();
    for (const waiting of this.#waiting.values()) void this.#ask(waiting);
  }

  disconnect(): void {
    this.#received.disconnect();
  }

  /** `got` is to be told to the daemon before `taken` is waited for. */
  announced(blob: BlobAnnouncement): { readonly got: Acknowledgement; readonly whole: string | null } {
    const got = this.#received.announce(blob);
    return { got, whole: got.bytes === blob.bytes ? blob.sha256 : null };
  }

  piece(frame: Uint8Array): { readonly got: Acknowledgement; readonly whole: string | null } {
    const { whole, ...got } = this.#received.piece(frame);
    return { got, whole };
  }

  /**
   * A content is here. Where this machine keeps no file of it, the jobs that wait for it end with that reason: asked for
   * again it would only come again.
   */
  async taken(sha256: string): Promise<void> {
    const { models, onEvent } = this.#options;
    this.#asked.delete(sha256);
    const bytes = this.#received.take(sha256);
    const waiting = (): Waiting[] => [...this.#waiting.values()].filter(({ awaited }) => awaited.has(sha256));
    try {
      await models.put(sha256, bytes);
    } catch (thrown) {
      const error = asHildaError(thrown);
      onEvent?.('warning', { message: error.message, code: error.code });
      for (const { awaited } of waiting()) awaited.get(sha256)?.failed(error);
      return;
    }
    const isInputs = waiting().some(({ lease }) => lease.inputs?.sha256 === sha256);
    onEvent?.(isInputs ? 'inputs' : 'model', { sha256, bytes: bytes.byteLength });
    for (const { awaited } of waiting()) awaited.get(sha256)?.here(bytes);
  }

  async #ask(waiting: Waiting): Promise<void> {
    for (const sha256 of waiting.awaited.keys()) await this.#askFor(sha256, waiting);
  }

  async #askFor(sha256: string, { lease, awaited }: Waiting): Promise<void> {
    const { models, need } = this.#options;
    const cached = await models.get(sha256);
    const present = this.#waiting.get(lease.job);
    if (!present || !sameHold(present.lease, lease)) return;
    if (cached) awaited.get(sha256)?.here(cached);
    else if (!this.#asked.has(sha256)) {
      this.#asked.add(sha256);
      need({ job: lease.job, epoch: lease.epoch }, sha256);
    }
  }
}
