import type { ElementArray } from '../core/element-arrays.js';
import type { ErrorDocument } from '../core/errors.js';

/** Element types that cross between daemon and child, named as onnxruntime names them. */
export type ElementType =
  | 'float32'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'float16'
  | 'string';

export type ElementData = ElementArray | readonly string[];

/** One tensor, row-major. `bool` travels as Uint8Array of 0 and 1, `float16` as the bits in a Uint16Array. */
export interface RuntimeTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: ElementData;
}

export type RuntimeTensors = Readonly<Record<string, RuntimeTensor>>;

/**
 * An input or output as the runtime sees it; an open dimension is its symbol (possibly empty). `type` is null for what is
 * no tensor: a sequence, a map, an optional value.
 */
export interface RuntimeValue {
  readonly name: string;
  readonly type: string | null;
  readonly dims: readonly (number | string)[];
}

/** How an input of timed runs is filled: drawn uniformly (whole numbers include both ends), or given. */
export type Filling = { readonly low: number; readonly high: number } | { readonly data: ElementData };

/** By input; those left out get what `InputFeed` says. */
export type InputFillings = ReadonlyMap<string, Filling>;

/** One input of timed runs. Without a filling, floats are drawn from -1 to 1 and everything else is zero. */
export interface InputFeed {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  readonly filling?: Filling | undefined;
}

export interface SessionOptions {
  /** An execution provider that this build of onnxruntime has; anything else is PROVIDER_UNKNOWN. */
  readonly provider: string;
  /** Intra-operator threads. Operators themselves run one after the other. */
  readonly threads: number;
  readonly optimisation: 'disabled' | 'basic' | 'extended' | 'all';
  /** Keep freed activations for the next run. Off where many sessions live side by side (training, evaluation). */
  readonly arena: boolean;
  /** Record a trace for `profile`. Such a session must never be timed: tracing slows small networks up to 4.5 x. */
  readonly profile: boolean;
}

export const defaultSessionOptions: SessionOptions = {
  provider: 'cpu',
  threads: 1,
  optimisation: 'all',
  arena: true,
  profile: false,
};

export interface LoadedSession {
  readonly handle: number;
  /** From the network's bytes to a session that is ready. */
  readonly loadUs: number;
  readonly inputs: readonly RuntimeValue[];
  readonly outputs: readonly RuntimeValue[];
}

export interface RunOptions {
  /** Outputs to send back; all that are not carried when left out. */
  readonly fetch?: readonly string[];
  /**
   * Input name -> output name: the output stays in the child and is fed to that input by the next `run` of the same
   * session, so that weights and optimiser state never cross the process boundary.
   */
  readonly carry?: Readonly<Record<string, string>>;
}

/** `runs` timed inferences in a row of one session, on the fixed input that the child filled in at loading. */
export interface Leg {
  readonly handle: number;
  readonly runs: number;
}

export interface TimedLegs {
  /** Microseconds, one entry a run, one array a leg. The clock is read around the run alone. */
  readonly samplesUs: readonly Float64Array[];
  /** Wall time of all legs together. */
  readonly wallUs: number;
  /** CPU time, all threads of the child, that was spent meanwhile. */
  readonly cpuUs: number;
  /** Share of the machine's time that the hypervisor gave to others meanwhile; null where unreadable. */
  readonly stealShare: number | null;
}

/** One executed operator of a trace, after onnxruntime fused what it could. */
export interface TraceRow {
  readonly run: number;
  readonly name: string;
  readonly op: string;
  readonly provider: string;
  readonly durUs: number;
  readonly memInUsePeakBytes: number;
  readonly memRequestedInUseBytes: number;
  readonly memRequestedDeltaBytes: number;
  readonly outputBytes: number;
  readonly parameterBytes: number;
}

/** The first inference of a session, with the rise of resident memory that it caused (null where unreadable). */
export interface FirstRun {
  readonly firstRunUs: number;
  readonly runPeakRssBytes: number | null;
}

export type Request =
  | {
      readonly op: 'load';
      readonly model: Uint8Array;
      readonly options: SessionOptions;
      /** For timed runs; null: as the session's own inputs are declared. */
      readonly feeds: readonly InputFeed[] | null;
    }
  | {
      readonly op: 'run';
      readonly handle: number;
      readonly feeds: RuntimeTensors;
      readonly options: RunOptions;
    }
  | { readonly op: 'carried'; readonly handle: number }
  | { readonly op: 'time'; readonly legs: readonly Leg[] }
  | { readonly op: 'firstRun'; readonly handle: number }
  | { readonly op: 'profile'; readonly handle: number; readonly runs: number }
  | { readonly op: 'release'; readonly handle: number }
  | { readonly op: 'describe' };

export interface RuntimeDescription {
  readonly runtimeVersion: string;
  readonly nodeVersion: string;
  readonly providers: readonly string[];
}

export interface Answers {
  load: LoadedSession;
  run: RuntimeTensors;
  carried: RuntimeTensors;
  time: TimedLegs;
  firstRun: FirstRun;
  profile: readonly TraceRow[];
  release: null;
  describe: RuntimeDescription;
}

export interface SessionConversation {
  readonly request: Request;
  readonly answers: Answers;
}

export type Envelope<R> = { readonly id: number; readonly request: R };
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: Pick<ErrorDocument, 'code' | 'message' | 'hint' | 'details'> };
