import type { DType } from '../../../daemon/network/graph.js';
import type { Quantisation } from '../quantise/quantisation.js';
import type { LayerConstants } from '../quantise/quantise-weights.js';

/**
 * The lowered form: what the board will do, before offsets are chosen and bytes are written. Activations lie in
 * storages; an operator reads and writes views of them, rows of int8. Row operators make row i of their output from row
 * i of the inputs they read by `rows`; that is what tiling, in-place and overwriting rest on.
 */
export interface Storage {
  readonly id: number;
  /** The value it holds, in the network's words. */
  readonly name: string;
  readonly bytes: number;
}

/** `batch` blocks of `rows` rows of `width` bytes each. */
export interface View {
  readonly storage: number;
  readonly offset: number;
  readonly batch: number;
  readonly batchStride: number;
  readonly rows: number;
  readonly rowStride: number;
  readonly width: number;
}

/** How an input is walked: row i for output row i, a window of rows around it, or all of it for each row. */
export type Access = 'rows' | 'window' | 'all';

export interface Read {
  readonly view: View;
  readonly access: Access;
}

/** An activation-sized or row-sized constant of an Add or Mul. */
export interface ConstantOperand {
  readonly data: Int8Array;
  /** Bytes from one row to the next; 0 repeats the one row. */
  readonly rowStride: number;
}

export interface Window {
  readonly inHeight: number;
  readonly outHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  /** Bytes from a pixel to the next: more than the channels where an operator takes a slice of them. */
  readonly inStride: number;
  readonly outWidth: number;
  readonly outChannels: number;
  readonly outStride: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padTop: number;
  readonly padLeft: number;
}

interface Limits {
  readonly low: number;
  readonly high: number;
}

export type Body =
  /** `constants.weights` is [out][ky][kx][in of its group]; depthwise: [channel][ky][kx]. */
  | (Limits & {
      readonly kind: 'conv' | 'depthwise';
      readonly window: Window;
      readonly constants: LayerConstants;
      readonly x: Quantisation;
      readonly y: Quantisation;
    })
  /** `constants.weights` is [out][in]. */
  | (Limits & {
      readonly kind: 'linear';
      readonly constants: LayerConstants;
      /** Results of 16 bits, which have no limits but those. */
      readonly wide?: true;
      readonly x: Quantisation;
      readonly y: Quantisation;
    })
  /** Reads a by rows and b whole: b is [N][K] when `bTransposed`, else [K][N]. */
  | (Limits & {
      readonly kind: 'matmul';
      readonly depth: number;
      readonly bTransposed: boolean;
      readonly a: Quantisation;
      readonly b: Quantisation;
      readonly y: Quantisation;
      /** A factor of the product, 1 / sqrt d in attention. */
      readonly factor: number;
    })
  | (Limits & {
      readonly kind: 'add' | 'mul';
      readonly a: Quantisation;
      readonly b: Quantisation;
      readonly y: Quantisation;
      /** a - b instead of a + b. */
      readonly negative: boolean;
      /** In place of a second read. */
      readonly constant?: ConstantOperand;
    })
  /** Where the largest or the least of each row stands, as int32. */
  | { readonly kind: 'argMax'; readonly least: boolean; readonly last: boolean }
  | CellBody
  /** Rows of a table, `rows` of them, by int32 indices. */
  | { readonly kind: 'gather'; readonly table: Int8Array; readonly rows: number }
  | { readonly kind: 'lookup'; readonly table: Int8Array }
  | { readonly kind: 'softmax'; readonly x: Quantisation; readonly y: Quantisation }
  | {
      readonly kind: 'layerNorm';
      readonly x: Quantisation;
      readonly y: Quantisation;
      readonly scale: Float32Array;
      readonly shift: Float32Array;
      readonly epsilon: number;
    }
  | (Limits & {
      readonly kind: 'maxPool' | 'averagePool';
      readonly window: Window;
      /** Whether padding counts among what is averaged. */
      readonly countsPadding: boolean;
      readonly x: Quantisation;
      readonly y: Quantisation;
    })
  /** Mean over the rows: one row out. */
  | (Limits & { readonly kind: 'mean'; readonly x: Quantisation; readonly y: Quantisation })
  /** Rows to rows. */
  | { readonly kind: 'copy' }
  /** The bytes of a constant, row behind row. */
  | { readonly kind: 'constant'; readonly data: Int8Array }
  /** A slice of the network's input, `offset` + iteration x `step`, by the firmware's hook. */
  | { readonly kind: 'fetch'; readonly offset: number; readonly step: number }
  /** Elements in another order: `dims` of the output, outermost first, with the input's byte stride for each. */
  | { readonly kind: 'transpose'; readonly dims: readonly number[]; readonly strides: readonly number[] };

/**
 * The elements of one step of a recurrent layer (ABI.md, LSTM_CELL and GRU_CELL). Reads the gates, 16 bits each, and its own
 * state; writes the output, and `stateOffset` bytes behind it the state of 32 bits.
 */
export interface CellBody {
  readonly kind: 'lstmCell' | 'gruCell';
  readonly units: number;
  /** 4; or 2 where a GRU's reset was applied before. */
  readonly gates: number;
  /** Tables of `curveEntries`, in the order that ABI.md gives, one behind the other. */
  readonly curves: Int16Array;
  /** Of the product of two curves, to the steps of the state. */
  readonly productShift: number;
  /** Of an LSTM's state on the way to its curve, less one; of the argument of a GRU's candidate, to the left. */
  readonly argumentShift: number;
  readonly stateOffset: number;
  /** What the state's 32 bits hold, from -statePeak to statePeak. */
  readonly statePeak: number;
  /** The largest output that the curves make: 1, or a lower power of two. */
  readonly outputPeak: number;
  readonly y: Quantisation;
  /** Of the cell state of an LSTM as bytes, behind its state, where the network wants it. */
  readonly cell?: Quantisation;
}

/** Which loop over steps an operator belongs to, and how far its operands move a step. */
export interface LoopPlace {
  /** The same for all operators of a loop, which stand one behind the other. */
  readonly id: number;
  readonly iterations: number;
  /** Bytes, by read. */
  readonly readSteps: readonly number[];
  readonly writeStep: number;
}

export interface Operator {
  /** The network's node. */
  readonly name: string;
  readonly body: Body;
  readonly reads: readonly Read[];
  readonly write: View;
  /** Left out where it runs once. */
  readonly loop?: LoopPlace;
}

/** Host-side description of the network's input and output. */
export interface Port {
  readonly name: string;
  readonly dims: readonly number[];
  readonly view: View;
  /** `channels-last` where the board holds [N, C, ...] as [N, ..., C]. */
  readonly layout: 'row-major' | 'channels-last';
  readonly quantisation: Quantisation;
  /** Its type in the network. */
  readonly dtype: DType;
  /** Bytes an element takes on the board: 4 for whole numbers held as int32, else 1. */
  readonly elementBytes: 1 | 4;
}

export interface Lowered {
  readonly storages: readonly Storage[];
  readonly operators: readonly Operator[];
  /** What the caller writes before a run, and reads after it: the one port, or the bytes of all of them. */
  readonly input: Port;
  readonly output: Port;
  /** In the network's order; several lie one behind the other. */
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

export const viewBytes = (view: View): number =>
  (view.batch - 1) * view.batchStride + (view.rows - 1) * view.rowStride + view.width;

/** Multiply-accumulates of an operator, in all steps of its loop. */
export const macsOf = (operator: Operator): number => (operator.loop?.iterations ?? 1) * macsOfOne(operator);

function macsOfOne({ body, write }: Operator): number {
  switch (body.kind) {
    case 'conv':
    case 'depthwise':
      return write.rows * body.window.outWidth * body.constants.outputs * body.constants.depth;
    case 'linear':
      return write.batch * write.rows * body.constants.outputs * body.constants.depth;
    case 'matmul':
      return write.batch * write.rows * write.width * body.depth;
    default:
      return 0;
  }
}
