import { BackOff } from '../../../daemon/core/back-off.js';
import { asHildaError } from '../../../daemon/core/errors.js';
import { BulkReceiver } from '../../../daemon/core/link/bulk-receiver.js';
import { formatBytes } from '../../../daemon/core/quantities.js';
import { CallRunner } from './call-runner.js';
import { HeardCalls } from './heard-calls.js';
import { type ConnectionEnd, PageConnection } from './page-connection.js';
import type { PageWorld } from './page-world.js';
import { type Call, type FromDaemon, protocol } from './wire.js';

/** Contents that are held at once, and those that stay for the next time: the reference networks, above all. */
const mostHeldBytes = 320 * 2 ** 20;
const keptBytes = 48 * 2 ** 20;
const retry = { firstMs: 400, mostMs: 8000 };
/** The daemon's word is final on these: trying again would only knock at a closed door. Other refusals may pass. */
const final: ReadonlySet<string> = new Set([
  'PAIRING_REFUSED',
  'KEY_REVOKED',
  'VERSION_UNSUPPORTED',
  'DISPLACED',
]);
/** RFC 6455's private range: another page with this one's key took over. */
const displacedCode = 4001;
const violatedCode = 1002;

/**
 * Keeps a page joined: by the token of its address once, by the key it got for it from then on. A line that breaks is made
 * anew, and everything goes on: contents from the byte where they stopped, the call that runs, the reply that the daemon did not
 * hear. A page that gave way to another one with its key stops until a person asks for it.
 */
export class PageLink {
  readonly #world: PageWorld;
  readonly #calls: CallRunner;
  readonly #received = new BulkReceiver({ maxBytes: mostHeldBytes, keepBytes: keptBytes });
  readonly #backOff: BackOff;
  readonly #heard = new HeardCalls();
  #line: PageConnection | null = null;
  /** Given up and still open: what is on its way over it arrives all the same. Closed once the next one holds. */
  #former: PageConnection | null = null;
  #awaiting: (() => void)[] = [];
  /** Ends the wait before the next try. */
  #pause: AbortController | null = null;
  /** A person opened the page just now, or pressed the button. */
  #takeOver = true;
  #stopped = false;
  #arriving: { readonly transfer: number; readonly bytes: number } | null = null;

  constructor(world: PageWorld) {
    this.#world = world;
    this.#backOff = new BackOff({ ...retry, chance: world.chance });
    this.#calls = new CallRunner({
      runner: world.runner,
      received: this.#received,
      deliver: (...content) => this.#deliver(...content),
      show: (change) => world.show(change),
    });
  }

  start(): void {
    this.#stopped = false;
    this.#connect();
  }

  /** A person wants this page to be the one, of all with its key. */
  takeOver(): void {
    this.#takeOver = true;
    this.#world.show({ link: 'connecting' });
    this.start();
  }

  /** The network may be back: the next try comes at once. */
  retryNow(): void {
    this.#pause?.abort();
  }

  stop(): void {
    this.#stopped = true;
    this.#pause?.abort();
    this.#closeFormer();
    this.#line?.close();
    this.#line?.end(1000);
    this.#calls.drop();
  }

  #connect(): void {
    this.#line = new PageConnection(this.#world, {
      opened: (line) => this.#greet(line),
      message: (line, data) => this.#receive(line, data),
      over: (line, end) => this.#broke(line, end),
    });
  }

  #greet(line: PageConnection): void {
    const { about, instance, keys, state } = this.#world;
    const [token, key] = [keys.token(), keys.key()];
    line.say({
      op: 'hello',
      proto: protocol,
      ...(token && { token }),
      ...(key && { key }),
      instance,
      heard: this.#heard.last,
      takeOver: this.#takeOver,
      about,
      state: state(),
    });
  }

  #broke(line: PageConnection, { code, silent }: ConnectionEnd): void {
    if (this.#line !== line) return;
    this.#line = null;
    this.#closeFormer();
    if (silent) this.#former = line;
    line.takeLate(this.#received.disconnect());
    if (code === displacedCode) this.#giveWay();
    if (this.#stopped) return;
    this.#world.show({ link: 'lost' });
    void this.#tryAgain();
  }

  #closeFormer(): void {
    this.#former?.close();
    this.#former = null;
  }

  async #tryAgain(): Promise<void> {
    const pause = new AbortController();
    this.#pause = pause;
    await this.#world.clock.sleep(this.#backOff.next(), { signal: pause.signal }).catch(() => {});
    if (!this.#stopped) this.#connect();
  }

  #receive(line: PageConnection, data: string | Uint8Array): void {
    try {
      if (typeof data === 'string') this.#hear(line, JSON.parse(data) as FromDaemon);
      else {
        const { transfer, bytes } = this.#received.piece(data);
        line.say({ op: 'got', transfer, bytes });
        this.#showArrival(transfer, bytes);
      }
    } catch (thrown) {
      // Out of step with the daemon: a new connection begins with what both have.
      console.warn(thrown);
      line.close();
      line.end(violatedCode);
    }
  }

  #hear(line: PageConnection, message: FromDaemon): void {
    switch (message.op) {
      case 'welcome':
        this.#welcomed(line, message);
        return;
      case 'refused':
        this.#refused(message);
        return;
      case 'blob':
        this.#announced(line, message);
        return;
      case 'got':
        line.bulk.acknowledge(message);
        return;
      case 'beat':
        this.#world.show({ line: message.line });
        return;
      case 'call':
        this.#called(message.id, message.call);
    }
  }

  #welcomed(line: PageConnection, { id, key, resumed }: Extract<FromDaemon, { op: 'welcome' }>): void {
    this.#closeFormer();
    this.#backOff.reset();
    this.#takeOver = false;
    line.isWelcome = true;
    this.#world.keys.welcomed(key);
    this.#world.show({ identity: id });
    if (resumed && this.#heard.reply) line.say(this.#heard.reply);
    // Nobody waits for what runs here.
    if (!resumed) this.#forgetCalls();
    this.#world.show({ link: this.#calls.busy ? 'working' : 'ready' });
    for (const wake of this.#awaiting.splice(0)) wake();
  }

  #refused(refusal: Extract<FromDaemon, { op: 'refused' }>): void {
    // The connection ends, and is tried again.
    if (!final.has(refusal.code)) return;
    this.#world.show({ refusal });
    if (refusal.code === 'DISPLACED') this.#giveWay();
    else {
      this.#stopped = true;
      this.#calls.drop();
      this.#world.show({ link: 'refused' });
    }
  }

  #announced(line: PageConnection, blob: Extract<FromDaemon, { op: 'blob' }>): void {
    try {
      const got = this.#received.announce(blob);
      this.#arriving = got.bytes < blob.bytes ? blob : null;
      line.say({ op: 'got', ...got });
    } catch (thrown) {
      const { code, message } = asHildaError(thrown);
      if (code !== 'NETWORK_TOO_LARGE') throw thrown;
      line.say({ op: 'refuse', transfer: blob.transfer, detail: `the page has no room: ${message}` });
    }
  }

  #showArrival(transfer: number, bytes: number): void {
    if (this.#arriving?.transfer !== transfer) return;
    const step = `receiving ${formatBytes(bytes)} of ${formatBytes(this.#arriving.bytes)}`;
    this.#world.show({ link: 'working', step });
  }

  #called(id: number, call: Call): void {
    if (!this.#heard.hear(id)) return;
    this.#calls.run(id, call, (reply) => {
      if (this.#heard.answer(id, reply) && this.#line?.isWelcome) this.#line.say(reply);
    });
  }

  /** Another page with this one's key is at work. */
  #giveWay(): void {
    this.#stopped = true;
    this.#forgetCalls();
    this.#world.show({ link: 'displaced' });
  }

  #forgetCalls(): void {
    this.#calls.drop();
    this.#heard.forget();
  }

  /** Sends a content, over as many connections as it takes. */
  async #deliver(bytes: Uint8Array, sha256: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const line = this.#line;
      if (!line?.isWelcome) {
        await new Promise<void>((resolve) => this.#awaiting.push(resolve));
        continue;
      }
      try {
        return await line.bulk.deliver(bytes, sha256, { signal });
      } catch (thrown) {
        if (this.#line === line) throw thrown;
      }
    }
  }
}
