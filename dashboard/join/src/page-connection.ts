import { HildaError } from '../../../daemon/core/errors.js';
import { BulkSender } from '../../../daemon/core/link/bulk-sender.js';
import { watchLine } from '../../../daemon/core/link/watched-line.js';
import type { PageSocket, PageWorld } from './page-world.js';

export interface ConnectionEvents {
  opened(connection: PageConnection): void;
  message(connection: PageConnection, data: string | Uint8Array): void;
  /** It is over for the page: closed by either side, or silent for too long. Called once. */
  over(connection: PageConnection, end: ConnectionEnd): void;
}

export interface ConnectionEnd {
  readonly code: number;
  /** Nobody closed it: what is on its way over it may still arrive. */
  readonly silent: boolean;
}

/** RFC 6455, section 7.4.1: no close frame came. */
const abnormalCode = 1006;

/** One connection of the page to the daemon: its socket, the bulk on its way over it, and its signs of life. */
export class PageConnection {
  readonly bulk: BulkSender;
  /** The daemon greeted the page on it. */
  isWelcome = false;
  readonly #socket: PageSocket;
  readonly #events: ConnectionEvents;
  readonly #ending: (() => void)[] = [];
  #receivedBytes = 0;
  #isOver = false;
  /** Takes a piece that comes after it was given up. */
  #late: (frame: Uint8Array) => void = () => {};

  constructor({ clock, connect, onState, state }: PageWorld, events: ConnectionEvents) {
    this.#events = events;
    this.#socket = connect({
      opened: () => events.opened(this),
      message: (data) => this.#receive(data),
      closed: (code) => this.end(code),
    });
    this.bulk = new BulkSender({
      clock,
      peer: 'the daemon',
      announce: (blob) => this.say({ op: 'blob', ...blob }),
      sendPiece: (frame) => this.#socket.send(frame as Uint8Array<ArrayBuffer>),
    });
    this.#ending.push(onState(() => this.isWelcome && this.say({ op: 'state', state: state() })));
    watchLine(
      {
        onClose: (listener) => void this.#ending.push(listener),
        receivedBytes: () => this.#receivedBytes,
        drop: () => this.#end({ code: abnormalCode, silent: true }),
      },
      { clock },
    );
  }

  say(message: object): void {
    if (this.#socket.open) this.#socket.send(JSON.stringify(message));
  }

  /** Closes its socket, with what is still on its way over it. */
  close(): void {
    this.#socket.close();
  }

  end(code: number): void {
    this.#end({ code, silent: false });
  }

  /** From now on pieces go there. */
  takeLate(late: (frame: Uint8Array) => void): void {
    this.#late = late;
  }

  #receive(data: string | Uint8Array): void {
    if (this.#isOver) {
      if (typeof data !== 'string') this.#late(data);
      return;
    }
    this.#receivedBytes += data.length;
    this.#events.message(this, data);
  }

  #end(end: ConnectionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const listener of this.#ending) listener();
    this.bulk.close(new HildaError('DAEMON_UNREACHABLE', 'the line broke'));
    this.#events.over(this, end);
  }
}
