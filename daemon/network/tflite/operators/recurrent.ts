import { elementCount, floatsOf, floatTensor, type Tensor } from '../../graph.js';
import { type Rules, rule, type Step } from '../step.js';

/** Inputs by their place: gates in the order input, forget, cell, output. */
const inputWeights = [1, 2, 3, 4];
const recurrentWeights = [5, 6, 7, 8];
const biases = [12, 13, 14, 15];
const states = [18, 19];
const unsupported: readonly (readonly [string, readonly number[]])[] = [
  ['a coupled input gate', [1, 5]],
  ['peephole weights', [9, 10, 11]],
  ['a projection', [16, 17]],
  ['layer normalisation', [20, 21, 22, 23]],
];

/** ONNX has the gates in the order input, output, forget, cell. */
const onnxOrder = [0, 3, 1, 2];
/** Longest sequence that is written out step by step. */
const maxSteps = 512;

interface Sequence {
  readonly steps: number;
  readonly batch: number;
  readonly units: number;
  /** The cell's state is cut at plus and minus this; 0 for not at all. */
  readonly clip: number;
}

/**
 * An LSTM over a sequence (Hochreiter and Schmidhuber, 1997), as Keras exports it. TensorFlow Lite keeps its state from one
 * run to the next until it is reset; the converted network starts each run from zeros.
 */
function lstm(step: Step): void {
  for (const [what, places] of unsupported) {
    const wanted = what === 'a coupled input gate';
    if (places.some((i) => step.has(i) !== wanted)) step.refuse(`${what} is not supported`);
  }
  const activation = step.byteOption(0);
  if (activation !== 4) step.refuse(`the activation ${activation} in place of TANH is not supported`);
  if (step.boolOption(5)) step.refuse('diagonal recurrent weights are not supported');
  if (states.some((i) => step.input(i).data)) step.refuse('a constant state is not supported');
  const x = step.float(0);
  const dims = step.dimsOf(x);
  const [units, width] = step.dims(1) as [number, number];
  if (dims.length !== 3 || dims[2] !== width || step.dims(1).length !== 2)
    step.invalid(`an input [${dims}] does not fit weights [${step.dims(1)}]`);
  const timeMajor = step.boolOption(3);
  const [steps, batch] = (timeMajor ? dims : [dims[1], dims[0]]) as [number, number];
  const clip = step.option((table) => table.float(1), 0);
  const sequence = { steps, batch, units, clip };
  const inTime = timeMajor ? x : step.transpose(x, [1, 0, 2]);
  // A state that starts at zero grows by less than 1 a step.
  const y = clip === 0 || steps <= clip ? whole(step, inTime, sequence) : spelt(step, inTime, sequence);
  step.give(timeMajor ? y : step.transpose(y, [1, 0, 2]));
}

/** As ONNX's operator. Its own `clip` cuts what goes into the activations and is another thing. */
function whole(step: Step, x: string, { steps, batch, units }: Sequence): string {
  const { conversion } = step;
  const width = step.dimsOf(x)[2] as number;
  const led = (tensor: Tensor): Tensor => ({ ...tensor, dims: [1, ...tensor.dims] });
  const weights = [
    led(gates(step, inputWeights, [units, width], onnxOrder)),
    led(gates(step, recurrentWeights, [units, units], onnxOrder)),
    led(
      joined([gates(step, biases, [units], onnxOrder), floatTensor([4 * units], Array(4 * units).fill(0))]),
    ),
  ].map((tensor) => conversion.constant(tensor));
  const y = step.emit('LSTM', [x, ...weights], { hidden_size: units });
  return step.reshape(y, [steps, batch, units]);
}

/** Step by step, with the cell's state cut as soon as it can reach the bound. */
function spelt(step: Step, x: string, { steps, batch, units, clip }: Sequence): string {
  const { conversion } = step;
  if (steps > maxSteps) step.refuse(`a cell state cut at ${clip} over ${steps} steps is not supported`);
  const width = step.dimsOf(x)[2] as number;
  const order = [0, 1, 2, 3];
  const weights = conversion.constant(gates(step, inputWeights, [units, width], order));
  const recurrent = conversion.constant(gates(step, recurrentWeights, [units, units], order));
  const bias = conversion.constant(gates(step, biases, [units], order));
  const product = (a: string, rest: readonly string[]): string =>
    step.emit('Gemm', [a, ...rest], { transB: 1 });
  const all = product(step.reshape(x, [steps * batch, width]), [weights, bias]);
  const sizes = step.ints64(Array(steps).fill(batch));
  const parts = conversion.emitMany('Split', [all, sizes], { axis: 0 }, steps);
  const bounds = [conversion.scalar(-clip), conversion.scalar(clip)];
  let [h, c]: (string | undefined)[] = [];
  const outputs = parts.map((part, t) => {
    const sum = h === undefined ? part : step.emit('Add', [part, product(h, [recurrent])]);
    const cut = step.ints64(Array(4).fill(units));
    const four = conversion.emitMany('Split', [sum, cut], { axis: 1 }, 4);
    const [input, forget, cell, output] = four.map((gate, i) =>
      step.emit(i === 2 ? 'Tanh' : 'Sigmoid', [gate]),
    );
    const fresh = step.emit('Mul', [input as string, cell as string]);
    const grown =
      c === undefined ? fresh : step.emit('Add', [step.emit('Mul', [forget as string, c]), fresh]);
    c = t + 1 > clip ? step.emit('Clip', [grown, ...bounds]) : grown;
    h = step.emit('Mul', [output as string, step.emit('Tanh', [c])]);
    return step.reshape(h, [1, batch, units]);
  });
  return step.emit('Concat', outputs, { axis: 0 });
}

/** The constants of all four gates below one another. */
function gates(
  step: Step,
  places: readonly number[],
  dims: readonly number[],
  order: readonly number[],
): Tensor {
  const parts = order.map((gate) => {
    const tensor = step.conversion.tensorOf(step.float(places[gate] as number));
    if (!tensor) {
      const { type, data } = step.input(places[gate] as number);
      return step.refuse(
        data
          ? `it needs weights of float32, these are ${type}: an LSTM of integers is measured from its float file`
          : 'it needs constant weights',
      );
    }
    if (`${tensor.dims}` !== `${dims}`) step.invalid(`weights [${tensor.dims}] stand where [${dims}] should`);
    return tensor;
  });
  return joined(parts);
}

/** Tensors joined along the first axis. */
function joined(parts: readonly Tensor[]): Tensor {
  const rows = parts.reduce((sum, part) => sum + (part.dims[0] as number), 0);
  const dims = [rows, ...((parts[0] as Tensor).dims.slice(1) as number[])];
  const all = new Float32Array(elementCount(dims));
  let at = 0;
  for (const part of parts) {
    const values = floatsOf(part);
    all.set(values, at);
    at += values.length;
  }
  return floatTensor(dims, all);
}

export const recurrentRules: Rules = {
  UNIDIRECTIONAL_SEQUENCE_LSTM: rule('UnidirectionalSequenceLSTM', 6, 4, [20, 24], lstm),
};
