import type { Clock } from '../../../daemon/core/clock.js';
import type { LineFacts } from '../../../daemon/core/link/line-rate.js';
import type { About, PageState, Tensor, WorkerRequest } from './wire.js';

/** What the link needs of a browser. Nothing here is a browser's own type: a test, or a bench, brings another world. */
export interface PageWorld {
  readonly about: About;
  /** Made up as the page opens, known to nobody else; 8 to 64 letters, digits and dashes. */
  readonly instance: string;
  readonly clock: Clock;
  /** Numbers of [0, 1). */
  readonly chance: () => number;
  readonly runner: Runner;
  readonly keys: PageKeys;
  readonly state: () => PageState;
  /** Calls back at each change of the state. Returns the way to stop. */
  readonly onState: (listener: () => void) => () => void;
  readonly connect: (events: SocketEvents) => PageSocket;
  readonly show: (change: Partial<Shown>) => void;
}

export interface PageSocket {
  /** Whether what is sent goes anywhere. */
  readonly open: boolean;
  send(message: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export interface SocketEvents {
  opened(): void;
  message(data: string | Uint8Array): void;
  closed(code: number): void;
}

export interface PageKeys {
  /** The token of the page's address, until it was used. */
  token(): string | null;
  key(): string | null;
  /** The daemon let the page in; with a key, where it gave one. */
  welcomed(key: string | null): void;
}

/** Runs networks; `WorkerHost` in a browser. */
export interface Runner {
  start(provider: 'wasm' | 'webgpu', threads: number): Promise<Done>;
  stop(): void;
  ask(request: WorkerRequest): Promise<Done>;
}

export interface Done {
  readonly value: unknown;
  readonly outputs?: readonly Tensor[];
}

export type Link = 'connecting' | 'ready' | 'working' | 'lost' | 'refused' | 'displaced' | 'unable';

export interface Shown {
  readonly link: Link;
  readonly identity: string;
  readonly refusal: { readonly detail: string; readonly hint: string };
  /** What is being run now, in a word or two. */
  readonly step: string;
  /** Networks that ran here. */
  readonly measured: number;
  readonly line: LineFacts;
}
