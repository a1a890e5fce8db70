import type { System } from '../../../daemon/core/browser-words.js';
import type { LineFacts } from '../../../daemon/core/link/line-rate.js';
import type { Acknowledgement, BlobAnnouncement } from '../../../daemon/core/link/pieces.js';

/** The words between this page and the daemon, version 3; the daemon checks every one it hears. */
export const protocol = 3;

export interface About {
  readonly model: string;
  readonly named: boolean;
  readonly system: System;
  readonly platform: string;
  readonly browser: string;
  readonly runtimeVersion: string;
  readonly secure: boolean;
  readonly isolated: boolean;
  readonly cores: number;
  readonly memoryGiB: number | null;
  readonly gpu: { readonly name: string; readonly software: boolean } | null;
}

export interface PageState {
  readonly hiddenCount: number;
  readonly hidden: boolean;
  readonly wakeLock: boolean;
  readonly battery: { readonly level: number; readonly charging: boolean } | null;
}

export type Slot = 'candidate' | 'reference';

export interface NamedBlob {
  readonly name: string;
  readonly dims: readonly number[];
  readonly sha256: string;
}

/** A tensor from the daemon; its type as the runtime names it. */
export interface TypedBlob extends NamedBlob {
  readonly type: string;
}

export interface TypedTensor {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  /** Elements as they lie in memory, little endian. */
  readonly bytes: Uint8Array;
}

export interface Leg {
  readonly slot: Slot;
  readonly runs: number;
  readonly inner: number;
}

export type Call =
  | { readonly op: 'start'; readonly provider: 'wasm' | 'webgpu'; readonly threads: number }
  | {
      readonly op: 'load';
      readonly slot: Slot;
      readonly sha256: string;
      readonly feeds: readonly TypedBlob[] | null;
    }
  | { readonly op: 'first'; readonly slot: Slot }
  | { readonly op: 'time'; readonly legs: readonly Leg[] }
  | { readonly op: 'run'; readonly slot: Slot; readonly inputs: readonly TypedBlob[] }
  | { readonly op: 'stop' };

export type FromDaemon =
  | {
      readonly op: 'welcome';
      readonly id: string;
      readonly key: string | null;
      readonly resumed: boolean;
    }
  | { readonly op: 'refused'; readonly code: string; readonly detail: string; readonly hint: string }
  | ({ readonly op: 'blob' } & BlobAnnouncement)
  | ({ readonly op: 'got' } & Acknowledgement)
  | { readonly op: 'beat'; readonly line: LineFacts }
  | { readonly op: 'call'; readonly id: number; readonly call: Call };

export interface Tensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** What the worker is asked: blobs by then are bytes. */
export type WorkerRequest =
  | {
      readonly op: 'start';
      readonly threads: number /** A `WebAssembly.Module`, compiled once a page. */;
      readonly module: object;
    }
  | {
      readonly op: 'load';
      readonly slot: Slot;
      readonly model: Uint8Array;
      readonly feeds: readonly TypedTensor[] | null;
    }
  | { readonly op: 'first'; readonly slot: Slot }
  | { readonly op: 'time'; readonly legs: readonly Leg[] }
  | { readonly op: 'run'; readonly slot: Slot; readonly inputs: readonly TypedTensor[] };

export type WorkerReply =
  | { readonly value: unknown; readonly outputs?: readonly Tensor[] }
  | { readonly failed: string };
