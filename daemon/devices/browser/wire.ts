import { z } from 'zod';
import { systems } from '../../core/browser-words.js';
import type { LineFacts } from '../../core/link/line-rate.js';
import type { Acknowledgement, BlobAnnouncement } from '../../core/link/pieces.js';

/**
 * The words between the daemon and a page that runs networks, version 3. The page says `hello`; the daemon answers
 * `welcome` or `refused`. Then the daemon calls and the page replies, one call at a time; contents that a call or reply
 * names by their SHA-256 went before it (core/link/pieces.ts). The page says `state` whenever it was hidden or shown. A page
 * whose line broke says `hello` again: its call goes on, and its reply is said again.
 */
export const pageProtocol = 3;

const count = z.number().int().min(0);
const positive = z.number().positive();
const text = z.string().max(300);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const aboutSchema = z.object({
  /** The phone's model where the browser tells it, otherwise what it runs on. */
  model: text.min(1),
  /** Whether `model` names a product; otherwise different machines may say the same. */
  named: z.boolean().default(false),
  system: z.enum(systems).default('other'),
  platform: text,
  /** Name and major version, e.g. `Chrome 156`. */
  browser: text,
  runtimeVersion: z.string().regex(/^[\w.-]{1,40}$/),
  secure: z.boolean(),
  isolated: z.boolean(),
  cores: count.max(4096),
  memoryGiB: z.number().min(0).nullable(),
  /** WebGPU's adapter; null where there is none. */
  gpu: z.object({ name: text, software: z.boolean() }).nullable(),
});
export type About = z.infer<typeof aboutSchema>;

const stateSchema = z.object({
  /** How often the page was hidden since it joined, and whether it is now. */
  hiddenCount: count,
  hidden: z.boolean(),
  wakeLock: z.boolean(),
  battery: z.object({ level: z.number().min(0).max(1), charging: z.boolean() }).nullable(),
});
export type PageState = z.infer<typeof stateSchema>;

export const helloSchema = z.object({
  op: z.literal('hello'),
  proto: z.number().int(),
  token: z.string().max(200).optional(),
  key: z.string().max(200).optional(),
  /** Made up by each page as it opens: tells a page that is back from another one with its key. */
  instance: z.string().regex(/^[\w-]{8,64}$/),
  /** The last call that it heard; 0 for none. */
  heard: count,
  /** A person opened the page or asked for it: another instance that is connected gives way. */
  takeOver: z.boolean(),
  about: aboutSchema,
  state: stateSchema,
});

export type Hello = z.infer<typeof helloSchema>;

const tensors = z
  .array(z.object({ name: z.string().max(500), dims: z.array(count).max(16), sha256 }))
  .max(64);

/** Of one `time` call. */
export const mostLegs = 24;

/** What a page answers to each call. */
export const answerSchemas = {
  /** Bytes of touched 4 KiB pages of the wasm heap before any network, and the step of the worker's clock. */
  start: z.object({ touchedBytes: count, timerStepUs: positive }),
  load: z.object({ loadUs: positive }),
  first: z.object({ firstRunUs: z.number().min(0), touchedBytes: count }),
  /** Microseconds of each sample as the clock gave them: `inner` runs together; and of the whole call on the page. */
  time: z.object({
    tookUs: z.number().min(0),
    samplesUs: z.array(z.array(z.number().min(0)).max(1000)).max(mostLegs),
  }),
  run: z.object({ outputs: tensors }),
  stop: z.object({}),
} as const;

export const pageMessageSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('state'), state: stateSchema }),
  z.object({ op: z.literal('blob'), transfer: count, bytes: count, sha256 }),
  z.object({ op: z.literal('got'), transfer: count, bytes: count }),
  /** It has no room for a content. */
  z.object({ op: z.literal('refuse'), transfer: count, detail: z.string().max(1000) }),
  z.object({ op: z.literal('reply'), id: count, value: z.unknown() }),
  z.object({
    op: z.literal('failed'),
    id: count,
    /** Where it failed: in the runtime with a network, or in the page before it had anything to do with one. */
    origin: z.enum(['runtime', 'page']),
    /** The runtime's or the browser's own words. */
    detail: z.string().max(5000),
  }),
]);

export type Slot = 'candidate' | 'reference';

/** A tensor for the page, by the content that its elements are; `type` as the runtime names it. */
export interface NamedTensor extends NamedBlob {
  readonly type: string;
}

type NamedBlob = z.infer<typeof tensors>[number];

export type PageCall =
  /** A fresh worker with a fresh heap; an earlier one ends. */
  | { readonly op: 'start'; readonly provider: string; readonly threads: number }
  | {
      readonly op: 'load';
      readonly slot: Slot;
      readonly sha256: string;
      /** For timed runs; null: float32 inputs that are closed, filled by the page. */
      readonly feeds: readonly NamedTensor[] | null;
    }
  | { readonly op: 'first'; readonly slot: Slot }
  | {
      readonly op: 'time';
      readonly legs: readonly { readonly slot: Slot; readonly runs: number; readonly inner: number }[];
    }
  | { readonly op: 'run'; readonly slot: Slot; readonly inputs: readonly NamedTensor[] }
  | { readonly op: 'stop' };

export type Answer<Op extends PageCall['op']> = z.infer<(typeof answerSchemas)[Op]>;

export type DaemonMessage =
  | {
      readonly op: 'welcome';
      readonly proto: number;
      readonly id: string;
      readonly key: string | null;
      /** The session from before the break goes on. */
      readonly resumed: boolean;
    }
  | { readonly op: 'refused'; readonly code: string; readonly detail: string; readonly hint: string }
  | ({ readonly op: 'blob' } & BlobAnnouncement)
  | ({ readonly op: 'got' } & Acknowledgement)
  /** Says that the line is alive, and what is known of it. */
  | { readonly op: 'beat'; readonly line: LineFacts }
  | { readonly op: 'call'; readonly id: number; readonly call: PageCall };
