import { BackOff } from '../../../daemon/core/back-off.js';
import { asHildaError, HildaError } from '../../../daemon/core/errors.js';
import { BulkReceiver } from '../../../daemon/core/link/bulk-receiver.js';
import { BulkSender } from '../../../daemon/core/link/bulk-sender.js';
import { watchLine } from '../../../daemon/core/link/watched-line.js';
import { formatBytes } from '../../../daemon/core/quantities.js';
import { CallRunner } from './call-runner.js';
import type { PageSocket, PageWorld } from './page-world.js';
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

/** One connection, as long as it lasts. */
interface Line {
  readonly socket: PageSocket;
  readonly bulk: BulkSender;
  /** Takes a piece that comes after the line was given up; null before. */
  late: ((frame: Uint8Array) => void) | null;
  /** Ends its listeners. */
  over(code: number): void;
}

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
  #line: Line | null = null;
  /** Given up and still open: what is on its way over it arrives all the same. Closed once the next one holds. */
  #former: Line | null = null;
  #awaiting: (() => void)[] = [];
  /** Ends the wait before the next try. */
  #pause: AbortController | null = null;
  /** A person opened the page just now, or pressed the button. */
  #takeOver = true;
  #stopped = false;
  #welcome = false;
  /** Number of the last call heard, and the reply to it where it is ready: it is said until the next call comes. */
  #heard = 0;
  #reply: object | null = null;
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
    this.#line?.socket.close();
    this.#line?.over(1000);
    this.#calls.drop();
  }

  #connect(): void {
    const { clock, connect } = this.#world;
    const listeners: (() => void)[] = [];
    let receivedBytes = 0;
    let isOver = false;
    const over = (code: number): void => {
      if (isOver) return;
      isOver = true;
      for (const listener of listeners) listener();
      this.#broke(line, code);
    };
    const socket = connect({
      opened: () => this.#greet(line),
      message: (data) => {
        if (isOver) {
          if (typeof data !== 'string') line.late?.(data);
          return;
        }
        receivedBytes += data.length;
        this.#receive(line, data);
      },
      closed: over,
    });
    const bulk = new BulkSender({
      clock,
      peer: 'the daemon',
      announce: (blob) => say(socket, { op: 'blob', ...blob }),
      sendPiece: (frame) => socket.send(frame as Uint8Array<ArrayBuffer>),
    });
    const line: Line = { socket, bulk, late: null, over };
    this.#line = line;
    this.#welcome = false;
    listeners.push(
      this.#world.onState(() => this.#welcome && this.#say({ op: 'state', state: this.#world.state() })),
    );
    watchLine(
      {
        onClose: (listener) => void listeners.push(listener),
        receivedBytes: () => receivedBytes,
        drop: () => {
          this.#closeFormer();
          this.#former = line;
          over(1006);
        },
      },
      { clock },
    );
  }

  #greet({ socket }: Line): void {
    const { about, instance, keys, state } = this.#world;
    const [token, key] = [keys.token(), keys.key()];
    say(socket, {
      op: 'hello',
      proto: protocol,
      ...(token && { token }),
      ...(key && { key }),
      instance,
      heard: this.#heard,
      takeOver: this.#takeOver,
      about,
      state: state(),
    });
  }

  #broke(line: Line, code: number): void {
    line.bulk.close(new HildaError('DAEMON_UNREACHABLE', 'the line broke'));
    if (this.#line !== line) return;
    this.#line = null;
    if (this.#former !== line) this.#closeFormer();
    line.late = this.#received.disconnect();
    if (code === displacedCode) this.#giveWay();
    if (this.#stopped) return;
    this.#world.show({ link: 'lost' });
    void this.#tryAgain();
  }

  #closeFormer(): void {
    this.#former?.socket.close();
    this.#former = null;
  }

  async #tryAgain(): Promise<void> {
    const pause = new AbortController();
    this.#pause = pause;
    await this.#world.clock.sleep(this.#backOff.next(), { signal: pause.signal }).catch(() => {});
    if (!this.#stopped) this.#connect();
  }

  #receive(line: Line, data: string | Uint8Array): void {
    try {
      if (typeof data === 'string') this.#hear(line, JSON.parse(data) as FromDaemon);
      else {
        const { transfer, bytes } = this.#received.piece(data);
        this.#say({ op: 'got', transfer, bytes });
        this.#showArrival(transfer, bytes);
      }
    } catch (thrown) {
      // Out of step with the daemon: a new connection begins with what both have.
      console.warn(thrown);
      line.socket.close();
      line.over(1002);
    }
  }

  #hear(line: Line, message: FromDaemon): void {
    switch (message.op) {
      case 'welcome':
        this.#welcomed(message);
        return;
      case 'refused':
        // The connection ends, and is tried again.
        if (!final.has(message.code)) return;
        this.#world.show({ refusal: message });
        if (message.code === 'DISPLACED') {
          this.#giveWay();
          return;
        }
        this.#stopped = true;
        this.#calls.drop();
        this.#world.show({ link: 'refused' });
        return;
      case 'blob':
        this.#announced(message);
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

  #welcomed({ id, key, resumed }: Extract<FromDaemon, { op: 'welcome' }>): void {
    this.#closeFormer();
    this.#backOff.reset();
    this.#takeOver = false;
    this.#welcome = true;
    this.#world.keys.welcomed(key);
    this.#world.show({ identity: id });
    if (resumed && this.#reply) this.#say(this.#reply);
    if (!resumed) {
      // Nobody waits for what runs here.
      this.#calls.drop();
      this.#heard = 0;
      this.#reply = null;
    }
    this.#world.show({ link: this.#calls.busy ? 'working' : 'ready' });
    for (const wake of this.#awaiting.splice(0)) wake();
  }

  #announced(blob: Extract<FromDaemon, { op: 'blob' }>): void {
    try {
      const got = this.#received.announce(blob);
      this.#arriving = got.bytes < blob.bytes ? blob : null;
      this.#say({ op: 'got', ...got });
    } catch (thrown) {
      const { code, message } = asHildaError(thrown);
      if (code !== 'NETWORK_TOO_LARGE') throw thrown;
      this.#say({ op: 'refuse', transfer: blob.transfer, detail: `the page has no room: ${message}` });
    }
  }

  #showArrival(transfer: number, bytes: number): void {
    if (this.#arriving?.transfer !== transfer) return;
    const whole = this.#arriving.bytes;
    this.#world.show({ link: 'working', step: `receiving ${formatBytes(bytes)} of ${formatBytes(whole)}` });
  }

  #called(id: number, call: Call): void {
    // Said again after a break, though it was heard.
    if (id <= this.#heard) return;
    this.#heard = id;
    this.#reply = null;
    this.#calls.run(id, call, (reply) => {
      if (id !== this.#heard) return;
      this.#reply = reply;
      if (this.#welcome) this.#say(reply);
    });
  }

  /** Another page with this one's key is at work. */
  #giveWay(): void {
    this.#stopped = true;
    this.#heard = 0;
    this.#reply = null;
    this.#calls.drop();
    this.#world.show({ link: 'displaced' });
  }

  /** Sends a content, over as many connections as it takes. */
  async #deliver(bytes: Uint8Array, sha256: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const line = this.#line;
      if (!line || !this.#welcome) {
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

  #say(message: object): void {
    if (this.#line) say(this.#line.socket, message);
  }
}

function say(socket: PageSocket, message: object): void {
  if (socket.open) socket.send(JSON.stringify(message));
}
