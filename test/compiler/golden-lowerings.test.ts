import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { type CompiledNetwork, compile, Reference } from '../../firmware-bridge/compiler/index.js';
import type { WeightLayout } from '../../firmware-bridge/compiler/layout/format.js';
import type { ProgramCase } from '../firmware/program-case.js';
import {
  buildForCore,
  buildNative,
  type Core,
  cores,
  missingForCores,
  type Outcome,
  runNative,
  runOnCore,
} from '../firmware/runtime-driver.js';
import { compiledCase } from './compiled-case.js';

/**
 * Whole numbers in steps of one and weights of -1, 0 and 1, so that int8 is exact: what ONNX's operators say, reckoned apart
 * from this code, is what onnxruntime, the reference and the C runtime must answer to the last bit.
 */
interface Table {
  readonly dims: readonly number[];
  readonly values: readonly number[];
}
interface Golden {
  readonly name: string;
  readonly input: Table;
  readonly weights: Readonly<Record<string, Table>>;
  readonly output: Table;
}
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const goldens: readonly Golden[] = JSON.parse(
  readFileSync(join(root, 'test/compiler/golden-lowerings.json'), 'utf8'),
);
const { signal } = new AbortController();

interface Lowering {
  readonly build: (b: GraphBuilder, x: string, weight: (name: string) => string) => string;
  /** What the board then does, so that the vector tests the lowering that it is named after. */
  readonly steps: readonly string[];
}
const pad = (b: GraphBuilder, x: string, ...widths: readonly number[]): string =>
  b.node('Pad', [x, b.ints(widths)]);
const along = (kernel: number, more: Readonly<Record<string, number | number[]>> = {}) => ({
  kernel_shape: [kernel],
  ...more,
});
const resize = (b: GraphBuilder, x: string, scales: readonly number[]): string =>
  b.node('Resize', [x, '', b.constant('scales', floatTensor([4], scales))], {
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
const patches = (group: number) => ({ kernel_shape: [2, 2], strides: [2, 2], group });
const sum = (b: GraphBuilder, x: string, axis: number): string =>
  b.node('ReduceSum', [x, b.ints([axis])], { keepdims: 1 });

const lowerings: Readonly<Record<string, Lowering>> = {
  'zeros around an image': {
    build: (b, x) => pad(b, x, 0, 0, 1, 0, 0, 0, 2, 1),
    steps: ['averagePool'],
  },
  'zeros taken over by a convolution': {
    build: (b, x, w) => b.conv(pad(b, x, 0, 0, 2, 1, 0, 0, 0, 1), w('w'), undefined, { pad: 0 }),
    steps: ['conv'],
  },
  'zeros before and behind tokens': {
    build: (b, x) => pad(b, x, 0, 1, 0, 0, 2, 0),
    steps: ['averagePool'],
  },
  'a grouped convolution along one axis': {
    build: (b, x, w) =>
      b.node('Conv', [x, w('w')], along(3, { group: 2, strides: [2], pads: [2, 2], dilations: [2] })),
    steps: ['transpose', 'conv', 'conv'],
  },
  'a depthwise convolution along one axis': {
    build: (b, x, w) => b.node('Conv', [x, w('w')], along(3, { group: 3, pads: [1, 1] })),
    steps: ['transpose', 'depthwise'],
  },
  'the largest along one axis': {
    build: (b, x) => b.node('MaxPool', [x], along(3, { strides: [2], pads: [1, 1] })),
    steps: ['transpose', 'maxPool'],
  },
  'the mean along one axis': {
    build: (b, x) => b.node('AveragePool', [x], along(2, { strides: [2] })),
    steps: ['transpose', 'averagePool'],
  },
  'each pixel twice down and three times across': {
    build: (b, x) => resize(b, x, [1, 1, 2, 3]),
    steps: ['transpose', 'transpose'],
  },
  'every second line, every third pixel': {
    build: (b, x) => resize(b, x, [1, 1, 0.5, 1 / 3]),
    steps: ['transpose'],
  },
  'query heads that share keys': {
    build: (b, x) => {
      const query = b.transpose(b.reshape(b.slice(x, 2, 0, 8), [0, 5, 2, 2, 2]), [0, 2, 3, 1, 4]);
      const key = b.transpose(b.reshape(b.slice(x, 2, 8, 12), [0, 5, 2, 1, 2]), [0, 2, 3, 4, 1]);
      return b.matMul(query, key);
    },
    // One for each query head, by the key that it shares.
    steps: ['matmul', 'matmul', 'matmul', 'matmul'],
  },
  'three parts joined where they lie': {
    build: (b, x, w) =>
      b.concat(
        [
          b.conv(x, w('w')),
          b.node('MaxPool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
          b.conv(x, w('depthwise'), undefined, { groups: 2 }),
        ],
        1,
      ),
    steps: ['linear', 'maxPool', 'depthwise'],
  },
  'a patch for each pixel': {
    build: (b, x, w) => b.node('ConvTranspose', [x, w('w')], patches(1)),
    steps: ['linear', 'transpose'],
  },
  'a patch for each pixel of each channel': {
    build: (b, x, w) => b.node('ConvTranspose', [x, w('w')], patches(3)),
    steps: ['transpose', 'depthwise', 'transpose'],
  },
  'the edge repeated around an image': {
    build: (b, x) => b.node('Pad', [x, b.ints([0, 0, 1, 2, 0, 0, 1, 1])], { mode: 'edge' }),
    steps: ['copy', 'copy', 'copy', 'transpose', 'copy', 'copy', 'transpose', 'copy'],
  },
  'the mirror image around an image': {
    build: (b, x) => b.node('Pad', [x, b.ints([0, 0, 2, 1, 0, 0, 1, 1])], { mode: 'reflect' }),
    steps: ['copy', 'copy', 'copy', 'copy', 'transpose', 'copy', 'copy', 'transpose', 'copy'],
  },
  'a value around tokens': {
    build: (b, x) => b.node('Pad', [x, b.ints([0, 1, 1, 0, 0, 1]), b.scalar(-7)]),
    steps: ['constant', 'copy', 'constant', 'constant', 'copy', 'copy', 'copy'],
  },
  'everything several times': {
    build: (b, x) => b.node('Tile', [x, b.ints([1, 1, 2, 3])]),
    steps: ['transpose', 'transpose'],
  },
  'a constant before tokens': { build: (b, x, w) => b.concat([w('w'), x], 1), steps: ['constant', 'copy'] },
  "a constant map behind an image's channels": {
    build: (b, x, w) => b.concat([x, w('w')], 1),
    steps: ['constant', 'copy', 'copy'],
  },
  'pixels between pixels': {
    build: (b, x) =>
      b.node('Resize', [x, '', b.constant('scales', floatTensor([4], [1, 1, 2, 2]))], { mode: 'linear' }),
    // The last one brings the output into an order that a port can have.
    steps: ['transpose', 'linear', 'transpose', 'linear', 'transpose'],
  },
  'three pixels for every two': {
    build: (b, x) => resize(b, x, [1, 1, 1, 1.5]),
    steps: ['transpose', 'linear'],
  },
  'sums over tokens': { build: (b, x) => sum(b, x, 1), steps: ['mean'] },
  'a constant matrix before tokens': {
    build: (b, x, w) => b.matMul(w('w'), x),
    steps: ['transpose', 'linear'],
  },
  'sums along either axis, repeated along the other': {
    build: (b, x) => b.node('Sub', [sum(b, x, 2), sum(b, x, 1)]),
    steps: ['transpose', 'mean', 'mean', 'transpose', 'add'],
  },
};

function graphOf({ name, input, weights }: Golden): Graph {
  const b = new GraphBuilder({ name });
  const x = b.input('x', 'float32', [...input.dims]);
  const weight = (key: string): string => {
    const { dims, values } = weights[key] as Table;
    return b.constant(key, floatTensor([...dims], values));
  };
  b.output((lowerings[name] as Lowering).build(b, x, weight), 'y');
  return b.build();
}

const tensor = ({ dims, values }: Table) => ({ dims, data: Float32Array.from(values) });

/** Compiled with every value in steps of one from -128 to 127. */
const compiled = (golden: Golden, weightLayout: WeightLayout): Promise<CompiledNetwork> =>
  compile(graphOf(golden), {
    board: {
      weightLayout,
      arenaBytes: 2 ** 20,
      flashBytes: 2 ** 20,
      weightsAt: 'flash',
      poolBytes: 0,
      fetchesInput: false,
    },
    weights: 'real',
    calibration: async (_, values) => new Map(values.map((value) => [value, { min: -128, max: 127 }])),
  });

t.test('onnxruntime and the reference answer the vectors', async (t) => {
  t.same(goldens.map(({ name }) => name).sort(), Object.keys(lowerings).sort());
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  for (const golden of goldens) {
    const { name, input, output } = golden;
    const { handle } = await runtime.load(
      writeOnnx(graphOf(golden)),
      { optimisation: 'disabled' },
      { signal },
    );
    const feed = { x: { type: 'float32' as const, ...tensor(input) } };
    const answer = await runtime.run(handle, feed, {}, { signal });
    t.same([...(answer.y as { data: Float32Array }).data], output.values, `${name}: float`);
    const network = await compiled(golden, 'scalar');
    const bytes = new Reference(network.program).run(allToBoard({ x: tensor(input) }, network.inputs));
    t.same(allFromBoard(bytes, network.outputs), { y: tensor(output) }, `${name}: int8`);
    t.same(
      network.records.map(({ kind }) => kind),
      lowerings[name]?.steps,
      `${name}: by the steps it stands for`,
    );
  }
});

/** The vectors themselves as cases for the C runtime: nothing the reference says is in them. */
async function casesFor(layout: WeightLayout): Promise<ProgramCase[]> {
  return Promise.all(
    goldens.map(async (golden) => {
      const network = await compiled(golden, layout);
      const input = allToBoard({ x: tensor(golden.input) }, network.inputs);
      const made = compiledCase(golden.name, network, input);
      const bytes = allToBoard({ y: tensor(golden.output) }, network.outputs);
      return { ...made, expected: made.expected.map(({ at }) => ({ at, bytes })) };
    }),
  );
}

function wrong(cases: readonly ProgramCase[], outcomes: readonly Outcome[]): string[] {
  return cases.flatMap(({ name, expected }, i) => {
    const { checkError, runError, guardsWhole, arena } = outcomes[i] as Outcome;
    const { at, bytes } = expected[0] as { at: number; bytes: Int8Array };
    const same = bytes.every((value, j) => value === arena[at + j]);
    return checkError || runError || !guardsWhole || !same
      ? [`${name}: ${checkError} ${runError} ${same}`]
      : [];
  });
}

t.setTimeout(900_000);

t.test('so does the C runtime on the host, under sanitizers', async (t) => {
  const cases = await casesFor('scalar');
  t.same(wrong(cases, runNative(buildNative(), cases)), []);
});

t.test(
  'so does a core of each kind',
  { skip: missingForCores() && `needs ${missingForCores()}` },
  async (t) => {
    for (const name of ['m0plus', 'm4', 'm55']) {
      const core = cores[name] as Core;
      const cases = await casesFor(core.layout);
      t.same(wrong(cases, runOnCore(buildForCore(name, core), core, cases)), [], name);
    }
  },
);
