import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import { BulkReceiver } from '../core/link/bulk-receiver.js';
import type { ClockReading } from '../devices/agent/peer-clock.js';
import { type Binding, receivedNetwork } from '../devices/agent/sent-network.js';
import { packTensors, unpackTensors } from '../devices/agent/tensor-bytes.js';
import {
  type Hold,
  type HubMessage,
  hubMessageSchema,
  type OfferedDevice,
  sameHold,
} from '../devices/agent/wire.js';
import { checked } from '../devices/checked.js';
import { contentHash } from '../devices/content-hash.js';
import type { Graph } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { AgentBench } from './bench.js';
import type { AgentLink } from './link.js';
import type { ModelCache } from './model-cache.js';
import type { Outbox, Outcome } from './outbox.js';

type Lease = Extract<HubMessage, { op: 'lease' }>;
type Welcome = Extract<HubMessage, { op: 'welcome' }>;

/** Hears of the bytes once they are here, or of what keeps them from coming. */
interface Awaited {
  here(bytes: Uint8Array): void;
  failed(error: HildaError): void;
}

interface Running {
  readonly lease: Lease;
  readonly abort: AbortController;
  /** What it waits for, by SHA-256. */
  readonly awaited: Map<string, Awaited>;
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
/** A longer value goes as bulk: as one message it would hold up all that is said after it. */
const longValue = 16 * 1024;

/** The jobs of this agent. They outlive the link: it is served anew after each break, and the work goes on meanwhile. */
export class AgentWork {
  readonly #options: AgentWorkOptions;
  readonly #running = new Map<string, Running>();
  /** Models asked for over the present link, so that two jobs of one model do not fetch it twice. */
  readonly #asked = new Set<string>();
  /** What came of a content when the link broke is there when it is asked for again. */
  readonly #received = new BulkReceiver({ maxBytes: 2 * maxModelBytes, hash: contentHash });
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
    const { outbox } = this.#options;
    this.#link = link;
    this.#asked.clear();
    for (const { lease } of this.#running.values())
      if (!keep.some((hold) => sameHold(hold, lease))) this.#drop(lease);
    // Also those that no longer count: the daemon counts and refuses them, and they leave the outbox by its word.
    for (const outcome of outbox.all()) void tell(link, outcome);
    // A model that was on its way when the link broke is asked for from where it stopped.
    for (const { lease } of this.#running.values()) void this.#askForBlobs(lease);
    const ended = new AbortController();
    void this.#beat(link, heartbeatMs, clock, AbortSignal.any([signal, ended.signal]));
    try {
      for await (const message of link.messages()) {
        if (typeof message === 'string')
          await this.#hear(checked(hubMessageSchema, JSON.parse(message)), link, clock);
        else {
          const { transfer, bytes, whole } = this.#received.piece(message);
          link.say({ op: 'got', transfer, bytes });
          if (whole !== null) await this.#receive(whole);
        }
      }
    } catch (thrown) {
      const error = asHildaError(thrown);
      this.#options.onEvent?.('warning', { message: error.message, code: error.code });
      link.close(error.message);
    } finally {
      ended.abort();
      if (this.#link === link) this.#link = null;
      this.#received.disconnect();
    }
  }

  /** Drops everything that runs; what is in the outbox stays there. */
  stop(): void {
    for (const { lease } of this.#running.values()) this.#drop(lease);
  }

  async #hear(message: HubMessage, link: AgentLink, clock: Clock): Promise<void> {
    switch (message.op) {
      case 'clock':
        link.say({ op: 'clock', id: message.id, ...readClock(clock) });
        return;
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
      case 'blob': {
        const got = this.#received.announce(message);
        link.say({ op: 'got', ...got });
        if (got.bytes === message.bytes) await this.#receive(message.sha256);
        return;
      }
      case 'got':
        link.bulk.acknowledge(message);
        return;
      case 'beat':
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
    const awaited = new Map<string, Awaited>();
    const blob = (named: Lease['inputs']): Promise<Uint8Array> | null => {
      if (!named) return null;
      const bytes = new Promise<Uint8Array>((resolve, reject) => {
        awaited.set(named.sha256, { here: resolve, failed: reject });
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
      // It is told all the same, as often as it takes; only the end of this process would lose it.
      const { message, code } = asHildaError(thrown);
      onEvent?.('warning', { message: `results are held in memory alone: ${message}`, code });
    }
    if (this.#running.get(lease.job)?.lease === lease) this.#running.delete(lease.job);
    onEvent?.('finished', { ...hold, op: outcome.op });
    if (this.#link) void tell(this.#link, outcome);
  }

  async #askForBlobs(lease: Lease): Promise<void> {
    for (const blob of blobsOf(lease)) await this.#askFor(blob, lease);
  }

  async #askFor(sha256: string, lease: Lease): Promise<void> {
    const { models } = this.#options;
    const cached = await models.get(sha256);
    const running = this.#running.get(lease.job);
    if (running?.lease !== lease) return;
    if (cached) running.awaited.get(sha256)?.here(cached);
    else if (!this.#asked.has(sha256)) {
      this.#asked.add(sha256);
      this.#link?.say({ op: 'need', ...holdOf(lease), sha256 });
    }
  }

  /**
   * A content is here. Where this machine keeps no file of it, the jobs that wait for it end with that reason: asked for
   * again it would only come again.
   */
  async #receive(sha256: string): Promise<void> {
    const { models, onEvent } = this.#options;
    this.#asked.delete(sha256);
    const bytes = this.#received.take(sha256);
    const waiting = (): Running[] => [...this.#running.values()].filter(({ awaited }) => awaited.has(sha256));
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

/** A result, after the contents that it names. A link that ends meanwhile has a next one, which is told all of it. */
async function tell(link: AgentLink, outcome: Outcome): Promise<void> {
  if (outcome.op === 'failed') return link.say(outcome);
  const { tensors, value, ...result } = outcome;
  try {
    const text = Buffer.from(JSON.stringify(value ?? null));
    const valueContent = text.byteLength > longValue ? await link.deliver(text) : undefined;
    const tensorContent =
      tensors === undefined ? undefined : await link.deliver(Buffer.from(tensors, 'base64'));
    link.say({
      ...result,
      value: valueContent === undefined ? value : null,
      ...(valueContent !== undefined && { valueContent }),
      ...(tensorContent !== undefined && { tensors: tensorContent }),
    });
  } catch {
    // It stays in the outbox.
  }
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
