import type { Node } from '../../../../daemon/network/graph.js';
import { gateQuantisation } from '../../quantise/gate-weights.js';
import { type Quantisation, quantise } from '../../quantise/quantisation.js';
import type { LayerConstants } from '../../quantise/quantise-weights.js';
import { type Lowering, nodeName, unsupported } from '../lowering.js';
import type { Body, CellBody, Read, View } from '../operators.js';
import { rowMajor, type Value } from '../value.js';
import type { Chain, Recurrent } from './recurrent.js';
import { applied, isConstant, operandOf } from './steps.js';

/** Bytes side by side in a storage. */
const bytesAt = (storage: number, offset: number, width: number): View => ({
  storage,
  offset,
  batch: 1,
  batchStride: 0,
  rows: 1,
  rowStride: width,
  width,
});

/**
 * The loop of one chain. Its memory lies in one storage: the output of the step before, the input of this step, room
 * for more inputs, the state of 32 bits, and the cell state of an LSTM as bytes.
 */
export class RecurrentLoop {
  readonly #node: Node;
  readonly #lowering: Lowering;
  readonly #layer: Recurrent;
  readonly #chain: Chain;
  readonly #id: number;
  readonly #memory: number;
  readonly #gates: number;
  readonly #room: number;
  readonly #isLstm: boolean;
  readonly #cell: Quantisation | undefined;

  constructor(
    node: Node,
    lowering: Lowering,
    layer: Recurrent,
    chain: Chain,
    {
      gates,
      room = 0,
      cell,
    }: { readonly gates: number; readonly room?: number; readonly cell?: Quantisation | undefined },
  ) {
    this.#node = node;
    this.#lowering = lowering;
    this.#layer = layer;
    this.#chain = chain;
    this.#room = room;
    this.#isLstm = node.op === 'LSTM';
    this.#cell = cell;
    this.#id = lowering.nextLoop();
    const { units } = layer;
    const name = `${nodeName(node)}.${chain.index}`;
    const storage = (what: string, bytes: number): number =>
      lowering.allocate(`${name}.${what}`, [bytes], { scale: 1, zeroPoint: 0 }).storage;
    this.#memory = storage('state', this.#stateOffset + stateBytes * units + (cell ? units : 0));
    this.#gates = storage('gates', 2 * gates * units);
  }

  /** The output of the step before. */
  get h(): View {
    return bytesAt(this.#memory, 0, this.#layer.units);
  }

  get x(): View {
    return bytesAt(this.#memory, this.#layer.units, this.#layer.inputs);
  }

  /** Room for `room` more inputs behind x. */
  get more(): View {
    return bytesAt(this.#memory, this.#layer.units + this.#layer.inputs, this.#room);
  }

  /** The cell state of an LSTM as bytes. */
  get cell(): View {
    return bytesAt(this.#memory, this.#stateOffset + stateBytes * this.#layer.units, this.#layer.units);
  }

  /** From the output to the state of 32 bits. */
  get #stateOffset(): number {
    return this.#layer.units + this.#layer.inputs + this.#room;
  }

  /**
   * Fills the memory before the first step: constants by one copy, activations over them. `input` is that of the wide state,
   * whose 32 bits hold from -peak to peak.
   */
  start(input: number, peak: number): void {
    const { units, h } = this.#layer;
    const [narrow, wide] = [5, input].map((at) => this.#given(at));
    const bytes = new Int8Array(this.#stateOffset + stateBytes * units + (this.#cell ? units : 0));
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < units; i++) {
      bytes[i] = quantise(constantAt(narrow, i), h);
      view.setInt32(this.#stateOffset + stateBytes * i, heldState(constantAt(wide, i), peak), true);
    }
    this.#once({ kind: 'constant', data: bytes }, [], bytesAt(this.#memory, 0, bytes.length));
    if (narrow && 'value' in narrow) this.#startNarrow(narrow.value);
    if (wide && 'value' in wide) this.#startWide(wide.value, peak);
  }

  /** This chain's part of an input of the node: [directions, 1, units], or [1, directions, units] by layout. */
  #given(input: number): { readonly value: Value } | { readonly constant: Float32Array } | undefined {
    if (!this.#node.inputs[input]) return undefined;
    const operand = operandOf(this.#node, this.#lowering, input);
    if (!operand) throw unsupported(this.#node, `its input ${input} is no float constant`);
    const from = this.#chain.stateAt;
    if (isConstant(operand)) return { constant: operand.constant.subarray(from, from + this.#layer.units) };
    const axes = operand.value.dims.map((_, axis) => axis);
    const value = this.#lowering.arranged(this.#node, operand.value, axes);
    return { value: { ...value, offset: value.offset + from, dims: [this.#layer.units], strides: [1] } };
  }

  #startNarrow(value: Value): void {
    const table = applied(this.#node, this.#lowering, value, (v) => v, {
      name: `${nodeName(this.#node)}.initial_h`,
      quantisation: this.#layer.h,
    });
    this.#once({ kind: 'copy' }, [rows(bytesAt(table.storage, 0, this.#layer.units))], this.h);
  }

  /** Each byte of a 32-bit value by a table of its own. */
  #startWide({ storage, offset, quantisation: x }: Value, peak: number): void {
    const { units } = this.#layer;
    const eachOf = (at: View, pitch: number): View => ({ ...at, rows: units, rowStride: pitch, width: 1 });
    for (let byte = 0; byte < stateBytes; byte++) {
      const table = Int8Array.from(
        { length: 256 },
        (_, q) => heldState(x.scale * (q - 128 - x.zeroPoint), peak) >> (8 * byte),
      );
      this.#once(
        { kind: 'lookup', table },
        [rows(eachOf(bytesAt(storage, offset, units), 1))],
        eachOf(bytesAt(this.#memory, this.#stateOffset + byte, 1), stateBytes),
      );
    }
  }

  /** Brings the input of a step to its place. */
  takeInput(): void {
    const { steps, inputs } = this.#layer;
    const { x, reverse } = this.#chain;
    const from = reverse ? (steps - 1) * x.rowStride : 0;
    const view = bytesAt(x.storage, x.offset + from, inputs);
    this.#each({ kind: 'copy' }, [rows(view)], this.x, [this.#step(x.rowStride)]);
  }

  /** A layer over `inputs` of the memory, to gates from number `gate` on. */
  gatesBy(constants: LayerConstants, inputs: View, gate: number): void {
    const at = bytesAt(this.#gates, 2 * gate * this.#layer.units, 2 * constants.outputs);
    const body: Body = {
      kind: 'linear',
      wide: true,
      constants,
      x: this.#layer.h,
      y: gateQuantisation,
      low: -128,
      high: 127,
    };
    this.#each(body, [rows(inputs)], at);
  }

  /** Any operator on the loop's own memory. */
  also(body: Body, reads: readonly Read[], write: View): void {
    this.#each(body, reads, write);
  }

  /** From the gates to the next output and state. */
  advance(
    cell: Pick<CellBody, 'gates' | 'curves' | 'productShift' | 'argumentShift' | 'statePeak' | 'outputPeak'>,
  ): void {
    const { units, h } = this.#layer;
    const body: CellBody = {
      ...cell,
      kind: this.#isLstm ? 'lstmCell' : 'gruCell',
      units,
      stateOffset: this.#stateOffset,
      y: h,
      ...(this.#cell && { cell: this.#cell }),
    };
    const bytes = this.#stateOffset + stateBytes * units + (this.#cell ? units : 0);
    const all = bytesAt(this.#memory, 0, bytes);
    const gateBytes = bytesAt(this.#gates, 0, 2 * cell.gates * units);
    this.#each(body, [rows(gateBytes), { view: all, access: 'all' }], all);
  }

  /** Hands on the output of a step: this chain's part of its row. */
  giveOutput(y: Value): void {
    const { units, steps } = this.#layer;
    const { outputAt, outputPitch: pitch, reverse } = this.#chain;
    const to = bytesAt(y.storage, outputAt + (reverse ? (steps - 1) * pitch : 0), units);
    this.#each({ kind: 'copy' }, [rows(this.h)], to, [0], this.#step(pitch));
  }

  /** Hands on bytes of the memory after the last step. */
  giveLast(y: Value, from: View): void {
    const { units } = this.#layer;
    this.#once({ kind: 'copy' }, [rows(from)], bytesAt(y.storage, this.#chain.stateAt, units));
  }

  #step(bytes: number): number {
    return this.#chain.reverse ? -bytes : bytes;
  }

  #once(body: Body, reads: readonly Read[], write: View): void {
    this.#lowering.emit({ name: nodeName(this.#node), body, reads, write });
  }

  #each(
    body: Body,
    reads: readonly Read[],
    write: View,
    readSteps: readonly number[] = reads.map(() => 0),
    writeStep = 0,
  ): void {
    const loop = { id: this.#id, iterations: this.#layer.steps, readSteps, writeStep };
    this.#lowering.emit({ name: nodeName(this.#node), body, reads, write, loop });
  }
}

/** Of a state of 32 bits. */
const stateBytes = 4;

/** A real state in steps of peak 2^-31. */
const heldState = (real: number, peak: number): number =>
  Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.round((real / peak) * 2 ** 31)));

const rows = (view: View): Read => ({ view, access: 'rows' });

const constantAt = (
  given: { readonly value: Value } | { readonly constant: Float32Array } | undefined,
  i: number,
): number => (given && 'constant' in given ? (given.constant[i] as number) : 0);

/** Storages for the outputs that something reads: all steps, the last of each direction, the last cell states. */
export function outputsOf(
  node: Node,
  lowering: Lowering,
  quantisations: readonly Quantisation[],
): readonly (Value | undefined)[] {
  return quantisations.map((quantisation, i) => {
    const name = node.outputs[i];
    if (!name || !lowering.isRead(name)) return undefined;
    const dims = lowering.dims(name);
    const order = dims.map((_, axis) => axis);
    const value = lowering.allocate(name, dims, quantisation, order);
    return lowering.define(name, { ...value, strides: rowMajor(dims) });
  });
}
