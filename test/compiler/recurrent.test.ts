import t, { type Test } from 'tap';
import { gaussian, type Rng, Xoshiro128 } from '../../daemon/core/rng.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { elementCount, floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import type { ProgramCase } from '../firmware/program-case.js';
import { buildNative, runNative } from '../firmware/runtime-driver.js';
import { agreement, board, drawn } from './agreement.js';
import { answer } from './compiled-case.js';

t.setTimeout(0);
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
const cases: ProgramCase[] = [];

interface Layer {
  readonly op: 'LSTM' | 'GRU' | 'RNN';
  readonly steps: number;
  readonly inputs: number;
  readonly units: number;
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  readonly layout?: 0 | 1;
  readonly batch?: number;
  /** How wide the weights spread, of 1 / sqrt(units). */
  readonly spread?: number;
  readonly bias?: boolean;
  readonly initial?: 'none' | 'constant' | 'input';
  readonly outputs?: readonly number[];
  readonly attributes?: Readonly<Record<string, number | readonly string[]>>;
  readonly lengths?: boolean;
  /** Of constant states; of an LSTM, of its cells. */
  readonly reach?: number;
  /** Added to the bias of each gate, in ONNX's order. */
  readonly offsets?: readonly number[];
  /** The size of the inputs, 1 by default. */
  readonly loud?: number;
}

const gatesOf = { LSTM: 4, GRU: 3, RNN: 1 } as const;

function graphOf(layer: Layer, seed = 3): Graph {
  const { op, steps, inputs, units, direction = 'forward', layout = 0, spread = 1, initial = 'none' } = layer;
  const { batch = 1 } = layer;
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: op, opset: layout === 1 ? 14 : 11 });
  const count = direction === 'bidirectional' ? 2 : 1;
  const rows = gatesOf[op] * units;
  const reach = spread / Math.sqrt(units);
  const weights = (name: string, ...dims: number[]): string =>
    b.constant(
      name,
      floatTensor(
        dims,
        Array.from({ length: elementCount(dims) }, () => reach * (2 * rng.next() - 1)),
      ),
    );
  const x = b.input('x', 'float32', layout === 1 ? [batch, steps, inputs] : [steps, batch, inputs]);
  const w = weights('w', count, rows, inputs);
  const r = weights('r', count, rows, units);
  const offset = (i: number): number =>
    i % (2 * rows) < rows ? (layer.offsets?.[Math.floor((i % (2 * rows)) / units)] ?? 0) : 0;
  const biases = Array.from({ length: 2 * count * rows }, (_, i) => reach * (2 * rng.next() - 1) + offset(i));
  const bias = layer.bias === false ? '' : b.constant('b', floatTensor([count, 2 * rows], biases));
  const dims = layout === 1 ? [batch, count, units] : [count, batch, units];
  const state = (name: string, far = layer.reach ?? 0.5): string => {
    if (initial === 'none') return '';
    return initial === 'input'
      ? b.input(name, 'float32', dims)
      : b.constant(
          name,
          floatTensor(
            dims,
            Array.from({ length: count * batch * units }, () => far * (2 * rng.next() - 1)),
          ),
        );
  };
  const lengths = layer.lengths
    ? b.constant('lengths', {
        dtype: 'int32',
        dims: [batch],
        data: new Uint8Array(new Int32Array(batch).fill(steps).buffer),
      })
    : '';
  const names = [x, w, r, bias, lengths, ...(op === 'LSTM' ? [state('h', 0.5), state('c')] : [state('h')])];
  while (names.at(-1) === '') names.pop();
  const outputs = b.nodeMulti(
    op,
    names,
    { hidden_size: units, direction, ...(layout === 1 && { layout }), ...layer.attributes },
    { outputs: op === 'LSTM' ? 3 : 2 },
  );
  for (const at of layer.outputs ?? [0]) b.output(outputs[at] as string);
  return b.build();
}

/** Inputs as a signal has them: each step near the one before. */
function signals(graph: Graph, rng: Rng): ReturnType<typeof drawn> {
  const made = drawn(graph, rng, () => 2 * rng.next() - 1);
  const { data, dims } = made.x as { data: Float32Array; dims: readonly number[] };
  const width = dims.at(-1) as number;
  for (let i = 0; i < data.length; i++)
    data[i] = i < width ? gaussian(rng) : 0.8 * (data[i - width] as number) + 0.6 * gaussian(rng);
  return made;
}

async function agree(t: Test, name: string, layer: Layer, limits: { steps: number; cosine: number }) {
  const graph = graphOf(layer);
  const rng = Xoshiro128.fromSeed(5);
  const inputs = Array.from({ length: 4 }, () => signals(graph, rng));
  for (const { x } of inputs) {
    const { data } = x as { data: Float32Array };
    data.set(data.map((value) => value * (layer.loud ?? 1)));
  }
  const found = await agreement(name, graph, inputs, runtime);
  const said = `${name}: ${found.steps.toFixed(2)} steps, cosine ${found.cosine.toFixed(5)}`;
  t.ok(found.steps <= limits.steps && found.cosine >= limits.cosine, said);
  t.comment(said);
  cases.push(...found.cases);
  return found;
}

t.test('over 120 steps, near the float layer', async (t) => {
  const long = { steps: 120, inputs: 12, units: 24 };
  // A plain layer of wide weights is chaotic, in any arithmetic.
  await agree(t, 'RNN, weights 1.2', { ...long, op: 'RNN', spread: 1.2 }, { steps: 9, cosine: 0.998 });
  for (const spread of [1, 3])
    for (const op of ['LSTM', 'GRU'] as const)
      await agree(t, `${op}, weights ${spread}`, { ...long, op, spread }, { steps: 9, cosine: 0.998 });
  const reset = { attributes: { linear_before_reset: 1 } };
  for (const spread of [1, 3])
    await agree(
      t,
      `GRU behind, weights ${spread}`,
      { ...long, op: 'GRU', spread, ...reset },
      { steps: 9, cosine: 0.998 },
    );
});

t.test('every direction, layout, state and output', async (t) => {
  const limits = { steps: 9, cosine: 0.998 };
  const small = { steps: 7, inputs: 5, units: 6 };
  for (const op of ['LSTM', 'GRU', 'RNN'] as const) {
    const outputs = op === 'LSTM' ? [0, 1, 2] : [0, 1];
    for (const direction of ['forward', 'reverse', 'bidirectional'] as const)
      for (const initial of ['none', 'constant', 'input'] as const)
        await agree(
          t,
          `${op} ${direction}, ${initial}`,
          { ...small, op, direction, initial, outputs },
          limits,
        );
    await agree(t, `${op}, the last alone`, { ...small, op, outputs: [1] }, limits);
    await agree(t, `${op}, one step`, { ...small, op, steps: 1, outputs, initial: 'input' }, limits);
    await agree(t, `${op}, without bias`, { ...small, op, bias: false, lengths: true }, limits);
    await agree(
      t,
      `${op}, three sequences`,
      { ...small, op, batch: 3, direction: 'bidirectional', initial: 'input', lengths: true, outputs },
      limits,
    );
  }
  await agree(
    t,
    'GRU behind, both ways',
    {
      ...small,
      op: 'GRU',
      direction: 'bidirectional',
      initial: 'input',
      outputs: [0, 1],
      attributes: { linear_before_reset: 1 },
    },
    limits,
  );
  await agree(
    t,
    'LSTM, other functions',
    { ...small, op: 'LSTM', attributes: { activations: ['HardSigmoid', 'Softsign', 'Tanh'] } },
    limits,
  );
});

t.test('values of any size: the scales of gates, states and outputs follow from what can come', async (t) => {
  const limits = { steps: 9, cosine: 0.998 };
  const small = { steps: 9, inputs: 5, units: 6 };
  const long = { steps: 150, inputs: 3, units: 5 };
  const cases: Record<string, Layer> = {
    'LSTM, faint weights': { ...small, op: 'LSTM', spread: 0.003, outputs: [0, 1, 2] },
    'LSTM, faint inputs': { ...small, op: 'LSTM', bias: false, loud: 0.001, outputs: [0, 1, 2] },
    'LSTM, loud inputs': { ...small, op: 'LSTM', loud: 30 },
    'LSTM, shut outputs': { ...small, op: 'LSTM', offsets: [0, -12, 0, 0] },
    'LSTM, shut inputs': { ...small, op: 'LSTM', offsets: [-12, 0, 0, 0], outputs: [0, 1, 2] },
    'LSTM, all shut': { ...small, op: 'LSTM', offsets: [-9, -9, -20, 0], outputs: [0, 1, 2] },
    'LSTM, forgets nothing': { ...long, op: 'LSTM', offsets: [3, 0, 14, 1], outputs: [0, 1, 2] },
    'LSTM, forgets slowly': { ...long, op: 'LSTM', spread: 0.3, offsets: [-4, 0, 7, 0], outputs: [0, 1, 2] },
    'LSTM, starts far off': { ...small, op: 'LSTM', initial: 'constant', reach: 40, outputs: [0, 1, 2] },
    'LSTM, gates that may be negative': {
      ...small,
      op: 'LSTM',
      attributes: { activations: ['Tanh', 'Sigmoid', 'HardSigmoid'] },
    },
    'GRU, faint weights': { ...small, op: 'GRU', spread: 0.003, outputs: [0, 1] },
    'GRU, faint inputs': { ...small, op: 'GRU', bias: false, loud: 0.001, outputs: [0, 1] },
    'GRU, loud inputs': { ...small, op: 'GRU', loud: 300 },
    'GRU, hardly changes': { ...small, op: 'GRU', offsets: [12, 0, 0], outputs: [0, 1] },
    'GRU, hardly changes in a long time': { ...long, op: 'GRU', offsets: [9, 0, 0], outputs: [0, 1] },
    'GRU, starts far off': { ...small, op: 'GRU', initial: 'constant', reach: 3, outputs: [0, 1] },
    'GRU, gates that may be negative': {
      ...small,
      op: 'GRU',
      spread: 0.5,
      attributes: { activations: ['Tanh', 'Tanh'] },
    },
    'GRU, hard gates': { ...small, op: 'GRU', attributes: { activations: ['HardSigmoid', 'Softsign'] } },
    'RNN, faint inputs': { ...small, op: 'RNN', bias: false, loud: 0.001, outputs: [0, 1] },
    'RNN, loud inputs': { ...small, op: 'RNN', loud: 4 },
    'RNN, sigmoid far left': {
      ...small,
      op: 'RNN',
      offsets: [-14],
      attributes: { activations: ['Sigmoid'] },
    },
  };
  for (const [name, layer] of Object.entries(cases)) {
    await agree(t, name, layer, limits);
    if (layer.op === 'GRU')
      await agree(
        t,
        `${name}, reset behind`,
        { ...layer, attributes: { ...layer.attributes, linear_before_reset: 1 } },
        limits,
      );
  }
});

t.test('the last output alone has the scale of what the steps answer', async (t) => {
  const graph = graphOf({ op: 'LSTM', steps: 5, inputs: 4, units: 4, spread: 0.003, outputs: [1] });
  const nodes = graph.nodes.map((node) => ({ ...node, outputs: ['', ...node.outputs.slice(1)] }));
  const inputs = [signals(graph, Xoshiro128.fromSeed(5))];
  const found = await agreement('the last alone', { ...graph, nodes }, inputs, runtime);
  t.ok(found.compiled.outputs[0] && found.compiled.outputs[0].quantisation.scale < 1e-4);
  t.ok(found.steps < 3, `${found.steps} steps`);
});

t.test('what cannot run is refused by name', async (t) => {
  const layer = { op: 'LSTM', steps: 3, inputs: 4, units: 4 } as const;
  const refused = async (changed: Partial<Layer>, message: RegExp): Promise<void> => {
    const made = compile(graphOf({ ...layer, ...changed }), { board, weights: 'pool' });
    await t.rejects(made, { code: 'OPERATOR_UNSUPPORTED', message });
  };
  await refused({ attributes: { clip: 3 } }, /clips its gates at 3/);
  await refused({ attributes: { input_forget: 1 } }, /input_forget/);
  await refused({ attributes: { activations: ['Sigmoid', 'Relu', 'Tanh'] } }, /activation is Relu/);
  const softsign = { attributes: { activations: ['Sigmoid', 'Softsign', 'Tanh'] } };
  await refused({ ...softsign, spread: 40 }, /Softsign may get .* -32 to 32 can run/);
});

t.test('layout 1 is the same bytes in another shape', async (t) => {
  for (const op of ['LSTM', 'GRU', 'RNN'] as const) {
    const layer = {
      op,
      steps: 5,
      inputs: 3,
      units: 4,
      direction: 'bidirectional',
      initial: 'input',
      outputs: op === 'LSTM' ? [0, 1, 2] : [0, 1],
    } as const;
    const [plain, other] = await Promise.all(
      ([0, 1] as const).map((layout) => compile(graphOf({ ...layer, layout }), { board, weights: 'real' })),
    );
    t.same(other?.program, plain?.program, op);
    t.same(other?.outputs[0]?.dims, [1, 5, 2, 4]);
  }
});

t.test('layout 1 of several sequences is the same numbers in another order', async (t) => {
  const layer = {
    op: 'LSTM',
    steps: 3,
    inputs: 2,
    units: 4,
    batch: 2,
    direction: 'bidirectional',
    initial: 'input',
    outputs: [0, 1, 2],
  } as const;
  const answers = [];
  for (const layout of [0, 1] as const) {
    const compiled = await compile(graphOf({ ...layer, layout }), { board, weights: 'real' });
    const rng = Xoshiro128.fromSeed(2);
    // The same numbers in both: drawn by time, sequence and element, then put where the layout has them.
    const inputs = Object.fromEntries(
      compiled.inputs.map(({ name, dims }) => {
        const [outer, inner] = layout === 0 ? [dims[0], dims[1]] : [dims[1], dims[0]];
        const data = new Float32Array(elementCount(dims));
        for (let o = 0; o < (outer as number); o++)
          for (let i = 0; i < (inner as number); i++)
            for (let k = 0; k < (dims[2] as number); k++)
              data[
                ((layout === 0 ? o : i) * (dims[1] as number) + (layout === 0 ? i : o)) *
                  (dims[2] as number) +
                  k
              ] = 2 * rng.next() - 1;
        return [name, { dims, data }];
      }),
    );
    const given = allFromBoard(answer(compiled, allToBoard(inputs, compiled.inputs)), compiled.outputs);
    answers.push(compiled.outputs.map(({ name }) => given[name]?.data ?? new Float32Array()));
  }
  const [plain, other] = answers as [Float32Array[], Float32Array[]];
  const [steps, directions, batch, units] = [3, 2, 2, 4];
  const found: number[] = [];
  for (let s = 0; s < steps; s++)
    for (let d = 0; d < directions; d++)
      for (let n = 0; n < batch; n++)
        for (let u = 0; u < units; u++)
          found.push(other[0]?.[((n * steps + s) * directions + d) * units + u] as number);
  t.same(found, [...(plain[0] as Float32Array)]);
  t.ok(new Set(found).size > 10);
  for (const state of [1, 2])
    t.same(
      [0, 1, 2, 3].map((i) => other[state]?.[((i % 2) * 2 + (i >> 1)) * units]),
      [0, 1, 2, 3].map((i) => plain[state]?.[i * units]),
    );
});

t.test('the program does not grow with the steps', async (t) => {
  const sizes = [];
  for (const steps of [2, 200]) {
    const found = await agree(
      t,
      `${steps} steps`,
      { op: 'LSTM', steps, inputs: 4, units: 8 },
      { steps: 9, cosine: 0.99 },
    );
    sizes.push(found.compiled.program.length);
  }
  t.equal(sizes[0], sizes[1]);
});

t.test('the C runtime answers all of these as the reference does', async (t) => {
  const outcomes = runNative(buildNative(), cases);
  for (const [i, c] of cases.entries()) {
    const { checkError, checkIndex, runError, guardsWhole, arena } = outcomes[i] as (typeof outcomes)[number];
    const { at, bytes } = c.expected[0] as { at: number; bytes: Int8Array };
    const same = bytes.every((value, j) => value === arena[at + j]);
    if (checkError || runError || !guardsWhole || !same)
      t.fail(`${c.name}: check ${checkError} at ${checkIndex}, run ${runError}, same ${same}`);
  }
  t.ok(cases.length > 60);
});
