import { sha256Hex } from '../../../daemon/core/hash.js';
import type { BulkReceiver } from '../../../daemon/core/link/bulk-receiver.js';
import type { Done, Runner, Shown } from './page-world.js';
import type { Call, TypedBlob, TypedTensor } from './wire.js';

const steps: Readonly<Record<Call['op'], string>> = {
  start: 'starting afresh',
  load: 'loading a network',
  first: 'first run',
  time: 'timing',
  run: 'computing',
  stop: 'clearing up',
};

export interface CallRunnerOptions {
  readonly runner: Runner;
  readonly received: BulkReceiver;
  readonly deliver: (bytes: Uint8Array, sha256: string, signal: AbortSignal) => Promise<void>;
  readonly show: (change: Partial<Shown>) => void;
}

/** Not the network's doing, nor the runtime's: the page could not even begin. */
class PageFault extends Error {}

/** Does what the daemon calls for, one call after the other. */
export class CallRunner {
  readonly #options: CallRunnerOptions;
  #queue: Promise<void> = Promise.resolve();
  #running = 0;
  #measured = 0;
  /** Ends when nobody is interested in the calls so far any more. */
  #round = new AbortController();

  constructor(options: CallRunnerOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#running > 0;
  }

  /** Ends what runs; nobody hears of it. */
  drop(): void {
    this.#round.abort(new Error('nobody waits for it'));
    this.#round = new AbortController();
    this.#options.runner.stop();
  }

  run(id: number, call: Call, answer: (reply: object) => void): void {
    const { signal } = this.#round;
    // At once, not in turn: it is there to end the call before it.
    if (call.op === 'stop') this.#options.runner.stop();
    this.#queue = this.#queue.then(async () => {
      if (signal.aborted) return;
      const reply = await this.#reply(id, call, signal);
      if (!signal.aborted) answer(reply);
    });
  }

  async #reply(id: number, call: Call, signal: AbortSignal): Promise<object> {
    const { show, deliver } = this.#options;
    show({ link: call.op === 'stop' ? 'ready' : 'working', step: steps[call.op] });
    this.#running++;
    try {
      const { value, outputs = [] } = await this.#perform(call);
      if (call.op !== 'run') return { op: 'reply', id, value };
      const named = [];
      for (const { name, dims, data } of outputs) {
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        const sha256 = sha256Hex(bytes);
        await deliver(bytes, sha256, signal);
        named.push({ name, dims, sha256 });
      }
      return { op: 'reply', id, value: { outputs: named } };
    } catch (thrown) {
      const detail = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 4000);
      const origin = call.op === 'start' || thrown instanceof PageFault ? 'page' : 'runtime';
      return { op: 'failed', id, origin, detail };
    } finally {
      this.#running--;
    }
  }

  async #perform(call: Call): Promise<Done> {
    const { runner, show } = this.#options;
    switch (call.op) {
      case 'start':
        return runner.start(call.provider, call.threads);
      case 'load':
        if (call.slot === 'candidate') show({ measured: ++this.#measured });
        return runner.ask({
          op: 'load',
          slot: call.slot,
          model: this.#content(call.sha256),
          feeds: call.feeds && this.#tensors(call.feeds),
        });
      case 'run':
        return runner.ask({ op: 'run', slot: call.slot, inputs: this.#tensors(call.inputs) });
      case 'stop':
        return { value: {} };
      default:
        return runner.ask(call);
    }
  }

  #content(sha256: string): Uint8Array {
    try {
      return this.#options.received.take(sha256);
    } catch (thrown) {
      throw new PageFault(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #tensors(blobs: readonly TypedBlob[]): TypedTensor[] {
    return blobs.map(({ sha256, ...tensor }) => ({ ...tensor, bytes: this.#content(sha256) }));
  }
}
