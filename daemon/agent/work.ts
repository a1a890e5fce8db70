import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
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
import type { Graph } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { AgentBench } from './bench.js';
import { AgentContents, type Coming, type Lease } from './contents.js';
import { LateResults } from './late-results.js';
import type { AgentLink } from './link.js';
import type { ModelCache } from './model-cache.js';
import type { Outbox, Outcome } from './outbox.js';

type Welcome = Extract<HubMessage, { op: 'welcome' }>;

interface Running {
  readonly lease: Lease;
  readonly abort: AbortController;
}

export interface AgentWorkOptions {
  readonly bench: AgentBench;
  readonly outbox: Outbox;
  readonly models: ModelCache;
  readonly clock: Clock;
  readonly onAddresses?: (urls: readonly string[]) => void;
  readonly onEvent?: (event: string, details: Readonly<Record<string, unknown>>) => void;
}

/** A longer value goes as bulk: as one message it would hold up all that is said after it. */
const longValue = 16 * 1024;

/** The jobs of this agent. They outlive the link: it is served anew after each break, and the work goes on meanwhile. */
export class AgentWork {
  readonly #options: AgentWorkOptions;
  readonly #running = new Map<string, Running>();
  readonly #contents: AgentContents;
  readonly #late: LateResults;
  #link: AgentLink | null = null;

  constructor(options: AgentWorkOptions) {
    this.#options = options;
    const { models, clock, onEvent } = options;
    this.#late = new LateResults(clock);
    this.#contents = new AgentContents({
      models,
      need: (hold, sha256) => this.#link?.say({ op: 'need', ...hold, sha256 }),
      ...(onEvent && { onEvent }),
    });
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
  async serve(link: AgentLink, { keep, heartbeatMs }: Welcome, signal: AbortSignal): Promise<void> {
    const { outbox } = this.#options;
    this.#link = link;
    this.#late.kept(keep);
    for (const { lease } of this.#running.values())
      if (!keep.some((hold) => sameHold(hold, lease))) this.#drop(lease);
    // Also those that no longer count: the daemon counts and refuses them, and they leave the outbox by its word.
    for (const outcome of outbox.all()) void tell(link, outcome);
    this.#contents.resume();
    const ended = new AbortController();
    void this.#beat(link, heartbeatMs, AbortSignal.any([signal, ended.signal]));
    try {
      for await (const message of link.messages()) {
        if (typeof message === 'string')
          await this.#hear(checked(hubMessageSchema, JSON.parse(message)), link);
        else await this.#took(link, this.#contents.piece(message));
      }
    } catch (thrown) {
      const error = asHildaError(thrown);
      this.#options.onEvent?.('warning', { message: error.message, code: error.code });
      link.close(error.message);
    } finally {
      ended.abort();
      if (this.#link === link) this.#link = null;
      this.#contents.disconnect();
    }
  }

  /** Drops everything that runs; what is in the outbox stays there. */
  stop(): void {
    for (const { lease } of this.#running.values()) this.#drop(lease);
  }

  async #hear(message: HubMessage, link: AgentLink): Promise<void> {
    switch (message.op) {
      case 'clock':
        link.say({ op: 'clock', id: message.id, ...readClock(this.#options.clock) });
        return;
      case 'lease':
        await this.#start(message);
        return;
      case 'cancel':
        this.#drop(message);
        return;
      case 'addresses':
        this.#options.onAddresses?.(message.addresses);
        return;
      case 'ack':
        if (!message.accepted) this.#options.onEvent?.('refused', { job: message.job, epoch: message.epoch });
        this.#late.acknowledged(message, message.accepted);
        await this.#options.outbox.remove(message);
        return;
      case 'blob':
        await this.#took(link, this.#contents.announced(message));
        return;
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

  async #took(link: AgentLink, { got, whole }: ReturnType<AgentContents['announced']>): Promise<void> {
    link.say({ op: 'got', ...got });
    if (whole !== null) await this.#contents.taken(whole);
  }

  async #start(lease: Lease): Promise<void> {
    const present = this.#running.get(lease.job);
    if (present && sameHold(present.lease, lease)) return;
    if (present) this.#drop(present.lease);
    const late = this.#late.take(lease);
    if (late) return this.#end(lease, late);
    const abort = new AbortController();
    this.#running.set(lease.job, { lease, abort });
    void this.#perform(lease, this.#contents.await(lease, abort.signal), abort.signal);
  }

  async #perform(lease: Lease, coming: Coming, signal: AbortSignal): Promise<void> {
    const { bench } = this.#options;
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
    this.#contents.forget(lease);
    await this.#end(lease, outcome);
  }

  /** Keeps what came of a job until the daemon took it, and tells it. */
  async #end(lease: Lease, outcome: Outcome): Promise<void> {
    const { outbox, onEvent } = this.#options;
    try {
      await outbox.put(outcome);
    } catch (thrown) {
      // It is told all the same, as often as it takes; only the end of this process would lose it.
      const { message, code } = asHildaError(thrown);
      onEvent?.('warning', { message: `results are held in memory alone: ${message}`, code });
    }
    if (this.#running.get(lease.job)?.lease === lease) this.#running.delete(lease.job);
    this.#late.ended(lease, outcome);
    onEvent?.('finished', { ...holdOf(lease), op: outcome.op });
    if (this.#link) void tell(this.#link, outcome);
  }

  #drop({ job, epoch }: Hold): void {
    const running = this.#running.get(job);
    if (!running || running.lease.epoch !== epoch) return;
    this.#running.delete(job);
    running.abort.abort(new HildaError('INTERRUPTED', 'the daemon no longer waits for the job'));
    this.#contents.forget(running.lease);
  }

  async #beat(link: AgentLink, everyMs: number, ended: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#options.clock.sleep(everyMs, { signal: ended });
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

/** A network from the wire goes through the same gate as an upload: its operators and sizes are known before it runs. */
function admit(bytes: Uint8Array, binding: Binding, feeds: Uint8Array | null): Graph {
  const network = receivedNetwork(bytes, binding, feeds);
  checkNetworkLimits(network);
  return network;
}
