import type { DeviceId } from '../core/ids.js';
import type { Measurement, OperatorCost } from '../core/measurement.js';
import type { Target } from '../core/target.js';
import type { Calibration } from '../measure/calibration.js';
import type { Protocol } from '../measure/protocol.js';
import type { Graph } from '../network/graph.js';
import type { CalibrationData } from '../runtime/calibration-data.js';
import type { CalibrationExamples } from '../runtime/example-ranges.js';
import type { Tensors } from '../runtime/tensors.js';
import type { NetworkRanges } from './stored-ranges.js';

export type { Tensors };

/** A device that was seen, not yet opened. Seeing changes nothing on the device. */
export interface Sighting {
  readonly id: DeviceId;
  readonly kind: string;
  /** What a person calls it: the CPU's or board's model. */
  readonly label: string;
  readonly target: Target;
  /**
   * The machine on whose processors it computes, where it shares them with other devices: `local` for the daemon's own, an
   * agent's id. Devices of one host are kept from running side by side, as each would void the other's times. Null for a
   * device with processors of its own: a board, a phone.
   */
  readonly host: string | null;
  /** Null when this process may use the device, otherwise what stands in the way and what to do. */
  readonly obstacle: string | null;
  /** The user let in this very device, e.g. by an invitation: it needs no adoption. */
  readonly invited?: boolean;
}

/** Static bounds; null where the device has none that is known. */
export interface Limits {
  readonly memoryBytes: number | null;
  readonly weightBytes: number | null;
}

/** How a deployed network's tensor lies on the board: enough to talk to it without the network. */
export interface DeployedPort {
  readonly name: string;
  readonly dims: readonly number[];
  readonly layout: 'row-major' | 'channels-last';
  readonly quantisation: { readonly scale: number; readonly zeroPoint: number };
  /** Its type in the network; float32 where it is left out (kept by an earlier version). */
  readonly dtype?: string | undefined;
  /** Bytes an element takes on the board: 4 for whole numbers held as int32, 1 where it is left out. */
  readonly elementBytes?: 1 | 4 | undefined;
}

/** A network that was put into a board's flash. Data: callers keep it, and hand it back to run the network. */
export interface Deployment {
  readonly structureHash: string;
  readonly weightsHash: string;
  /** CRC-32 of the program: what the board says it holds. */
  readonly programCrc: number;
  readonly flashBytes: number;
  readonly arenaBytes: number;
  readonly inputOffset: number | null;
  readonly inputBytes: number;
  readonly outputOffset: number;
  readonly outputBytes: number;
  readonly input: DeployedPort;
  readonly output: DeployedPort;
  /** Further ones, in the network's order: their bytes lie behind those of the first. */
  readonly moreInputs: readonly DeployedPort[];
  readonly moreOutputs: readonly DeployedPort[];
  /** What the quantisation was calibrated on, e.g. `12 inputs` or `random values`. */
  readonly calibratedOn: string;
}

/** What a deployment would be; nothing was sent. */
export interface Rehearsal {
  /** CRC-32 of the program that `deploy` would write. */
  readonly programCrc: number;
  readonly flashBytes: number;
  readonly arenaBytes: number;
  /** Of each test input (`testInputs`), the hash of what the integer reference answers (`answerHash`). */
  readonly answers: readonly string[];
}

/** Inputs that are drawn from a seed, the same on every machine. */
export interface Drawn {
  readonly seed: number;
  readonly count: number;
}

/** Examples for a classifier, and what a device needs to quantise a network for them. */
export interface Examples {
  /** float32, one example behind the other, each as the network's input takes it at batch 1. */
  readonly values: Float32Array;
  readonly count: number;
  /** Smallest and largest element of values of the network over calibration inputs, by name. */
  readonly ranges: (
    graph: Graph,
    values: readonly string[],
  ) => Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>>;
  /** What `ranges` are taken over (`exampleRanges`): a device of another machine takes them there. */
  readonly calibration: CalibrationExamples;
}

/** What a network's 8-bit scales come from; from random values where nothing is given. */
export interface Calibrating {
  /** Inputs that it will see. */
  readonly calibration?: readonly Tensors[] | CalibrationData;
  /** Kept ranges of its values, in place of inputs. */
  readonly ranges?: NetworkRanges;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  /**
   * `peakRamBytes` that a measurement should stay within: a board's planner then spends time to save memory, no more than
   * it takes. A network that needs more is measured with the smallest plan there is.
   */
  readonly ramBytes?: number;
  /** Hears a line of progress now and then: which step, how far. */
  readonly onProgress?: (progress: {
    readonly step: string;
    readonly done: number;
    readonly of: number;
  }) => void;
}

/**
 * Finds and opens devices of one kind. `discover` ends by itself when all were seen once; `open` throws DEVICE_FAILED
 * when the device does not answer. Constructing a driver does nothing.
 */
export interface Driver {
  readonly kind: string;
  discover(options: { readonly signal: AbortSignal }): AsyncIterable<Sighting>;
  open(sighting: Sighting, options: { readonly signal: AbortSignal }): Promise<Device>;
  /** Calls back whenever `discover` may see something else than before (hot-plug), until the signal aborts. */
  watch?(options: { readonly signal: AbortSignal; readonly onChange: () => void }): Promise<void>;
}

/**
 * Something that runs a network and reports what it cost. One call at a time: callers hold the device's lease.
 *
 * - `measure` never answers with a half-taken measurement: it returns one with a verdict, or throws NETWORK_REJECTED
 *   (the runtime refuses the network), DEVICE_OUT_OF_MEMORY, DEVICE_TIMEOUT, DEVICE_FAILED, DEVICE_GONE (it left),
 *   PROVIDER_SOFTWARE (no speed from a software adapter) or INTERRUPTED. The device is usable again after each of them,
 *   after DEVICE_GONE once it is opened afresh.
 * - Abilities that a device may lack are optional members.
 * - `close` may be called in any state, more than once.
 */
export interface Device {
  readonly target: Target;
  readonly limits: Limits;
  measure(network: Graph, protocol: Protocol, options: CallOptions): Promise<Measurement>;
  /**
   * Adopts what is `known` of the references' latencies on this device, or takes them, and answers with what holds from
   * now on. Callers keep the answer and hand it back after the next opening: normalised latencies are in its units.
   * `measure` takes one by itself where none was adopted.
   */
  calibrate?(options: CallOptions & { readonly known?: Calibration }): Promise<Calibration>;
  profile?(network: Graph, options: CallOptions): Promise<readonly OperatorCost[]>;
  /**
   * The class answered for each example by the network as this device runs it, where that is not the float network: on a
   * board the int8 network of the very program it would be sent. Computed on the host, by a reference that boards
   * equal bit for bit; nothing is sent.
   */
  classify?(network: Graph, examples: Examples, options: CallOptions): Promise<Uint16Array>;
  run?(network: Graph, inputs: Tensors, options: CallOptions): Promise<Tensors>;
  /** Puts the network with its weights where it survives a reset. */
  deploy?(network: Graph, options: CallOptions & Calibrating): Promise<Deployment>;
  /** Runs what was deployed. STATE_CONFLICT when the board holds something else. */
  runDeployed?(deployment: Deployment, inputs: Tensors, options: CallOptions): Promise<Tensors>;
  /**
   * What `deploy` would do, without doing it: compiles the network for this device, and computes what it will answer to test
   * inputs. Throws what `deploy` throws for a network that does not fit. A device that has this member has `runDeployed`.
   */
  rehearse?(
    network: Graph,
    options: CallOptions & Calibrating & { readonly tests: Drawn },
  ): Promise<Rehearsal>;
  /** Removes what was deployed; where nothing was, nothing happens. */
  erase?(options: CallOptions): Promise<void>;
  /** Restarts the device; what was deployed stays. */
  reset?(options: CallOptions): Promise<void>;
  close(): Promise<void>;
}
