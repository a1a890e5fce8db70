import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { ClockReading } from '../devices/agent/peer-clock.js';
import { type Binding, receivedNetwork } from '../devices/agent/sent-network.js';
import { packTensors, unpackTensors } from '../devices/agent/tensor-bytes.js';
import {
  type AgentMessage,
  type Hold,
  type HubMessage,
  hubMessageSchema,
  type OfferedDevice,
  sameHold,
} from '../devices/agent/wire.js';
import { BlobAssembler } from '../devices/blob-frames.js';
import { checked } from '../devices/checked.js';
import type { Graph } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { AgentBench } from './bench.js';
import type { AgentLink } from './link.js';
import type { ModelCache } from './model-cache.js';
import type { Outbox, Outcome } from './outbox.js';

type Lease = Extract<HubMessage, { op: 'lease' }>;
type Welcome = Extract<HubMessage, { op: 'welcome' }>;

interface Running {
  readonly lease: Lease;
  readonly abort: AbortController;
  /** What it waits for, by SHA-256: called with the bytes, once they are here. */
  readonly awaited: Map<string, (bytes: Uint8Array) => void>;
}

export interface AgentWorkOptions {
  readonly bench: AgentBench;
  readonly outbox: Outbox;
  readonly models: ModelCache;
  readonly onAddresses?: (urls: readonly string[]) => void;
  readonly onEvent?: (event: string, details: Readonly<Record<string, unknown>>) => void;
}

/** As large as any model that the daemon takes. */
const maxModelBytes = 256 * 2 ** 20;

/** The jobs of this agent. They outlive the link: it is served anew after each break, and the work goes on meanwhile. */
export class AgentWork {
  readonly #options: AgentWorkOptions;
  readonly #running = new Map<string, Running>();
  /** Models asked for over the present link, so that two jobs of one model do not fetch it twice. */
  readonly #asked = new Set<string>();
  #link: AgentLink | null = null;

  constructor(options: AgentWorkOptions) {
    this.#options = options;
  }

  /** What a new link is told first. */
  state(): { readonly running: Hold[]; readonly finished: Hold[] } {
    const finished = this.#options.outbox.all().map(({ job, epoch }) => ({ job, epoch }));
    return { running: [...this.#running.values()].map(({ lease }) => holdOf(lease)), finished };
  }

  /** Tells which devices are here now; without a link, the next greeting does. */
  offer(devices: readonly OfferedDevice[]): void {
    this.#link?.say({ op: 'devices', devices: [...devices] });
  }

  /** Serves a link until it ends. */
  async serve(
    link: AgentLink,
    { keep, heartbeatMs }: Welcome,
    { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  ): Promise<void> {
    const { outbox, models } = this.#options;
    this.#link = link;
    this.#asked.clear();
    for (const { lease } of this.#running.values())
      if (!keep.some((hold) => sameHold(hold, lease))) this.#drop(lease);
    // Also those that no longer count: the daemon counts and refuses them, and they leave the outbox by its word.
    for (const outcome of outbox.all()) tell(link, outcome);
    // A model that was on its way when the link broke is asked for from where it stopped.
    for (const { lease } of this.#running.values()) void this.#askForBlobs(lease);
    const ended = new AbortController();
    void this.#beat(link, heartbeatMs, clock, AbortSignal.any([signal, ended.signal]));
    const blobs = new BlobAssembler(2 * maxModelBytes);
    const names = new Map<number, string>();
    try {
      for await (const message of link.messages()) {
        if (typeof message !== 'string') {
          const { transfer, whole } = blobs.frame(message);
          if (whole) await this.#receive(names.get(transfer) ?? '', blobs.take(transfer));
          continue;
        }
        const heard = checked(hubMessageSchema, JSON.parse(message));
        if (heard.op === 'blob') {
          names.set(heard.transfer, heard.sha256);
          blobs.announce(heard, models.partial(heard.sha256));
        } else if (heard.op === 'clock') link.say({ op: 'clock', id: heard.id, ...readClock(clock) });
        else await this.#hear(heard, link);
      }
    } catch (thrown) {
      const error = asHildaError(thrown);
      this.#options.onEvent?.('warning', { message: error.message, code: error.code });
      link.close(error.message);
    } finally {
      ended.abort();
      if (this.#link === link) this.#link = null;
      for (const [transfer, sha256] of names) {
        const part = blobs.partial(transfer);
        if (part.byteLength > 0) models.keepPartial(sha256, part);
      }
    }
  }

  /** Drops everything that runs; what is in the outbox stays there. */
  stop(): void {
    for (const { lease } of this.#running.values()) this.#drop(lease);
  }

  async #hear(message: HubMessage, link: AgentLink): Promise<void> {
    switch (message.op) {
      case 'lease':
        this.#start(message);
        return;
      case 'cancel':
        this.#drop(message);
        return;
      case 'addresses':
        this.#options.onAddresses?.(message.addresses);
        return;
      case 'ack':
        if (!message.accepted) this.#options.onEvent?.('refused', { job: message.job, epoch: message.epoch });
        await this.#options.outbox.remove(message);
        return;
      case 'refused':
        link.refused = new HildaError(message.code as 'KEY_REVOKED', message.detail, { hint: message.hint });
        return;
      default:
        throw new HildaError('MESSAGE_INVALID', `the daemon said "${message.op}" out of order`);
    }
  }

  #start(lease: Lease): void {
    const present = this.#running.get(lease.job);
    if (present && sameHold(present.lease, lease)) return;
    if (present) this.#drop(present.lease);
    const abort = new AbortController();
    const awaited = new Map<string, (bytes: Uint8Array) => void>();
    const blob = (named: Lease['inputs']): Promise<Uint8Array> | null => {
      if (!named) return null;
      const bytes = new Promise<Uint8Array>((resolve, reject) => {
        awaited.set(named.sha256, resolve);
        abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true });
      });
      bytes.catch(() => {});
      return bytes;
    };
    const [model, feeds, inputs] = [blob(lease.model), blob(lease.feeds), blob(lease.inputs)];
    this.#running.set(lease.job, { lease, abort, awaited });
    void this.#askForBlobs(lease);
    void this.#perform(lease, { model, feeds, inputs }, abort.signal);
  }

  async #perform(
    lease: Lease,
    coming: Readonly<Record<'model' | 'feeds' | 'inputs', Promise<Uint8Array> | null>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { bench, outbox, onEvent } = this.#options;
    const hold = holdOf(lease);
    let outcome: Outcome;
    try {
      const network =
        coming.model && lease.model && admit(await coming.model, lease.model.binding, await coming.feeds);
      const { value, outputs } = await bench.perform(lease.device, lease.work, {
        network,
        inputs: coming.inputs ? unpackTensors(await coming.inputs) : [],
        signal,
        onProgress: (progress) => this.#link?.say({ op: 'progress', ...hold, ...progress }),
      });
      const tensors = outputs && Buffer.from(packTensors([outputs])).toString('base64');
      outcome = { op: 'result', ...hold, value, ...(tensors !== undefined && { tensors }) };
    } catch (thrown) {
      // Dropped: nobody waits for it any more.
      if (signal.aborted) return;
      outcome = { op: 'failed', ...hold, error: toErrorDocument(asHildaError(thrown)) };
    }
    try {
      await outbox.put(outcome);
    } catch (thrown) {
      onEvent?.('warning', { message: `the outbox takes no result: ${String(thrown)}` });
    }
    if (this.#running.get(lease.job)?.lease === lease) this.#running.delete(lease.job);
    onEvent?.('finished', { ...hold, op: outcome.op });
    if (this.#link) tell(this.#link, outcome);
  }

  async #askForBlobs(lease: Lease): Promise<void> {
    for (const blob of blobsOf(lease)) await this.#askFor(blob, lease);
  }

  async #askFor(sha256: string, lease: Lease): Promise<void> {
    const { models } = this.#options;
    const cached = await models.get(sha256);
    const running = this.#running.get(lease.job);
    if (running?.lease !== lease) return;
    if (cached) running.awaited.get(sha256)?.(cached);
    else if (!this.#asked.has(sha256)) {
      this.#asked.add(sha256);
      const from = models.partial(sha256).byteLength;
      this.#link?.say({ op: 'need', ...holdOf(lease), sha256, from });
    }
  }

  async #receive(sha256: string, bytes: Uint8Array): Promise<void> {
    this.#asked.delete(sha256);
    await this.#options.models.put(sha256, bytes);
    const waiting = [...this.#running.values()].filter(({ awaited }) => awaited.has(sha256));
    const isInputs = waiting.some(({ lease }) => lease.inputs?.sha256 === sha256);
    this.#options.onEvent?.(isInputs ? 'inputs' : 'model', { sha256, bytes: bytes.byteLength });
    for (const { awaited } of waiting) awaited.get(sha256)?.(bytes);
  }

  #drop({ job, epoch }: Hold): void {
    const running = this.#running.get(job);
    if (!running || running.lease.epoch !== epoch) return;
    this.#running.delete(job);
    running.abort.abort(new HildaError('INTERRUPTED', 'the daemon no longer waits for the job'));
    // The daemon sends models for jobs it waits for alone: another job of the same model asks in its own name.
    for (const wanted of blobsOf(running.lease)) {
      if (!this.#asked.delete(wanted)) continue;
      for (const { lease } of this.#running.values())
        if (blobsOf(lease).includes(wanted)) void this.#askFor(wanted, lease);
    }
  }

  async #beat(link: AgentLink, everyMs: number, clock: Clock, ended: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await clock.sleep(everyMs, { signal: ended });
        if (link.closed) return;
        link.say({ op: 'heartbeat', running: this.state().running });
      }
    } catch {
      // The link ended.
    }
  }
}

export const readClock = (clock: Clock): ClockReading => ({
  wallMs: clock.nowMs(),
  monotonicMs: clock.monotonicUs() / 1000,
});

/** A result, after the tensors that it has. */
function tell(link: AgentLink, { tensors, ...outcome }: Outcome): void {
  const transfer = tensors === undefined ? undefined : link.sendBlob(Buffer.from(tensors, 'base64'));
  link.say({ ...outcome, ...(transfer !== undefined && { transfer }) } as AgentMessage);
}

const holdOf = ({ job, epoch }: Hold): Hold => ({ job, epoch });

/** SHA-256 of what a job needs before it can begin. */
const blobsOf = ({ model, feeds, inputs }: Lease): string[] =>
  [model, feeds, inputs].flatMap((blob) => (blob ? [blob.sha256] : []));

/** A network from the wire goes through the same gate as an upload: its operators and sizes are known before it runs. */
function admit(bytes: Uint8Array, binding: Binding, feeds: Uint8Array | null): Graph {
  const network = receivedNetwork(bytes, binding, feeds);
  checkNetworkLimits(network);
  return network;
}
