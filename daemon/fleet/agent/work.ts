import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../../core/errors.js';
import { type Hold, type HubMessage, hubMessageSchema, sameHold } from '../../devices/agent/wire.js';
import { BlobAssembler } from '../../devices/blob-frames.js';
import { checked } from '../../devices/checked.js';
import type { Graph } from '../../network/graph.js';
import { checkNetworkLimits } from '../../network/limits.js';
import { readOnnx } from '../../network/read-onnx.js';
import type { AgentBench } from './bench.js';
import type { AgentLink } from './link.js';
import type { ModelCache } from './model-cache.js';
import type { Outbox, Outcome } from './outbox.js';

type Lease = Extract<HubMessage, { op: 'lease' }>;
type Welcome = Extract<HubMessage, { op: 'welcome' }>;

interface Running {
  readonly lease: Lease;
  readonly abort: AbortController;
  /** Called with the model, once it is here. */
  giveModel(bytes: Uint8Array): void;
}

export interface AgentWorkOptions {
  readonly bench: AgentBench;
  readonly outbox: Outbox;
  readonly models: ModelCache;
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
    for (const outcome of outbox.all()) link.say(outcome);
    // A model that was on its way when the link broke is asked for from where it stopped.
    for (const { lease } of this.#running.values()) void this.#askForModel(lease);
    const ended = new AbortController();
    void this.#beat(link, heartbeatMs, clock, AbortSignal.any([signal, ended.signal]));
    const blobs = new BlobAssembler(2 * maxModelBytes);
    const names = new Map<number, string>();
    try {
      for await (const message of link.messages()) {
        if (typeof message !== 'string') {
          const { transfer, whole } = blobs.frame(message);
          if (whole) await this.#receiveModel(names.get(transfer) ?? '', blobs.take(transfer));
          continue;
        }
        const heard = checked(hubMessageSchema, JSON.parse(message));
        if (heard.op === 'blob') {
          names.set(heard.transfer, heard.sha256);
          blobs.announce(heard, models.partial(heard.sha256));
        } else await this.#hear(heard, link);
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
    let giveModel: (bytes: Uint8Array) => void = () => {};
    const model = new Promise<Uint8Array>((resolve, reject) => {
      giveModel = resolve;
      abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true });
    });
    model.catch(() => {});
    this.#running.set(lease.job, { lease, abort, giveModel });
    void this.#askForModel(lease);
    void this.#perform(lease, model, abort.signal);
  }

  async #perform(lease: Lease, model: Promise<Uint8Array>, signal: AbortSignal): Promise<void> {
    const { bench, outbox, onEvent } = this.#options;
    const hold = holdOf(lease);
    let outcome: Outcome;
    try {
      const network = lease.model ? admit(await model) : null;
      const value = await bench.perform(lease.device, lease.work, {
        network,
        signal,
        onProgress: (progress) => this.#link?.say({ op: 'progress', ...hold, ...progress }),
      });
      outcome = { op: 'result', ...hold, value };
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
    this.#link?.say(outcome);
  }

  async #askForModel(lease: Lease): Promise<void> {
    const { model } = lease;
    if (!model) return;
    const { models } = this.#options;
    const cached = await models.get(model.sha256);
    const running = this.#running.get(lease.job);
    if (running?.lease !== lease) return;
    if (cached) running.giveModel(cached);
    else if (!this.#asked.has(model.sha256)) {
      this.#asked.add(model.sha256);
      const from = models.partial(model.sha256).byteLength;
      this.#link?.say({ op: 'need', ...holdOf(lease), sha256: model.sha256, from });
    }
  }

  async #receiveModel(sha256: string, bytes: Uint8Array): Promise<void> {
    this.#asked.delete(sha256);
    await this.#options.models.put(sha256, bytes);
    this.#options.onEvent?.('model', { sha256, bytes: bytes.byteLength });
    for (const { lease, giveModel } of this.#running.values())
      if (lease.model?.sha256 === sha256) giveModel(bytes);
  }

  #drop({ job, epoch }: Hold): void {
    const running = this.#running.get(job);
    if (!running || running.lease.epoch !== epoch) return;
    this.#running.delete(job);
    running.abort.abort(new HildaError('INTERRUPTED', 'the daemon no longer waits for the job'));
    // The daemon sends models for jobs it waits for alone: another job of the same model asks in its own name.
    const wanted = running.lease.model?.sha256;
    if (wanted === undefined || !this.#asked.delete(wanted)) return;
    for (const { lease } of this.#running.values())
      if (lease.model?.sha256 === wanted) void this.#askForModel(lease);
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

const holdOf = ({ job, epoch }: Hold): Hold => ({ job, epoch });

/** A network from the wire goes through the same gate as an upload: its operators and sizes are known before it runs. */
function admit(bytes: Uint8Array): Graph {
  const network = readOnnx(bytes);
  checkNetworkLimits(network);
  return network;
}
