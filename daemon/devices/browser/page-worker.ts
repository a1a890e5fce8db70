import { asHildaError, HildaError } from '../../core/errors.js';
import type { Target } from '../../core/target.js';
import { elementCount, type Graph } from '../../network/graph.js';
import { modelBytes, sourceOf } from '../../network/model-source.js';
import { fixedFeeds } from '../../runtime/fixed-feeds.js';
import { graphFeeds } from '../../runtime/graph-feeds.js';
import type { RuntimeTensors } from '../../runtime/messages.js';
import type { Tensors } from '../contract.js';
import { unreached } from '../unreached.js';
import type { PageSession } from './page-session.js';
import type { Answer, NamedTensor, PageCall, Slot } from './wire.js';

export interface PageWorkerOptions {
  readonly target: Target;
  readonly signal: AbortSignal;
  /** Bound of each call, of time with the line up. */
  readonly timeoutMs: number;
}

const stopMs = 5000;

/** A fresh worker on a page, with a fresh heap: networks are loaded into its slots and called there. */
export class PageWorker {
  readonly #page: PageSession;
  readonly #options: PageWorkerOptions;

  private constructor(
    page: PageSession,
    options: PageWorkerOptions,
    /** The step of its clock, and the bytes of its heap that were touched before any network. */
    readonly start: Answer<'start'>,
  ) {
    this.#page = page;
    this.#options = options;
  }

  /** Starts one and ends it after its use. Throws INTERRUPTED, DEVICE_GONE for a hidden page, and what calls throw. */
  static async use<T>(
    page: PageSession,
    options: PageWorkerOptions,
    work: (worker: PageWorker) => Promise<T>,
  ): Promise<T> {
    const { signal, target, timeoutMs } = options;
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    if (page.alive && page.state.hidden)
      throw new HildaError('DEVICE_GONE', `the page ${page.id} is hidden, and hidden pages are slowed down`, {
        hint: 'Bring the page to the front and keep the screen on.',
      });
    const { provider, threads } = target;
    const start = await page.call({ op: 'start', provider, threads }, { signal, timeoutMs });
    try {
      return await work(new PageWorker(page, options, start));
    } finally {
      // A worker that was given up is gone already; one that served its network makes room.
      if (page.alive && !signal.aborted)
        await page.call({ op: 'stop' }, { signal, timeoutMs: stopMs }).catch(() => {});
    }
  }

  async load(slot: Slot, network: Graph): Promise<Answer<'load'>> {
    const { signal } = this.#options;
    // Apart from the call, whose time is the page's: how long the bytes take is a matter of the line.
    const sha256 = await this.#page.deliver(modelBytes(network), { signal }).catch((thrown: unknown) => {
      throw slot === 'candidate' ? unreached(asHildaError(thrown)) : thrown;
    });
    // The page feeds closed float32 inputs by itself; a user's file may leave its dimensions open or take other types.
    const feeds = sourceOf(network) ? await this.#send(fixedFeeds(graphFeeds(network))) : null;
    return this.call({ op: 'load', slot, sha256, feeds });
  }

  /** Throws MESSAGE_INVALID for an output whose bytes are not those of its shape. */
  async run(slot: Slot, inputs: RuntimeTensors): Promise<Tensors> {
    const { outputs } = await this.call({ op: 'run', slot, inputs: await this.#send(inputs) });
    return Object.fromEntries(
      outputs.map(({ name, dims, sha256 }) => {
        const bytes = this.#page.take(sha256);
        if (bytes.byteLength !== 4 * elementCount(dims))
          throw new HildaError(
            'MESSAGE_INVALID',
            `the page gave ${bytes.byteLength} bytes as the output ${name} of ${dims.join(' x ')} values`,
          );
        return [name, { dims, data: new Float32Array(bytes.buffer, bytes.byteOffset, elementCount(dims)) }];
      }),
    );
  }

  /** Sends tensors ahead of the call that names them. Throws NETWORK_REJECTED for text. */
  async #send(tensors: RuntimeTensors): Promise<NamedTensor[]> {
    const { signal } = this.#options;
    const named: NamedTensor[] = [];
    for (const [name, { type, dims, data }] of Object.entries(tensors)) {
      if (!ArrayBuffer.isView(data))
        throw new HildaError('NETWORK_REJECTED', `the input ${name} holds text, which no page is fed with`);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const sha256 = await this.#page.deliver(bytes, { signal });
      named.push({ name, type, dims: [...dims], sha256 });
    }
    return named;
  }

  call<Call extends PageCall>(call: Call): Promise<Answer<Call['op']>> {
    const { signal, timeoutMs } = this.#options;
    return this.#page.call(call, { signal, timeoutMs });
  }
}
