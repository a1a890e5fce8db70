import { z } from 'zod';
import { HildaError } from '../../../core/errors.js';
import { type Rng, randomInt } from '../../../core/rng.js';
import { chainSpace, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import type { Emitter } from '../parts/emitter.js';
import { imageFile, size } from '../parts/file-fields.js';
import { cellEdges, cellOperators } from './cell-execution.js';
import { liveOperators } from './table.js';

/** NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2): one searched cell, repeated in three stages. */
export const cellFileSchema = z.strictObject({
  ...imageFile('cell'),
  /** Channels of the first stage; each further stage doubles them and halves the image. */
  width: size,
  /** Cells in each stage: N = 5 in the paper. */
  cells: z.number().int().min(1).max(8),
  stages: z.number().int().min(1).max(4).default(3),
});

export type CellFile = z.infer<typeof cellFileSchema>;

/** One operator that runs: which, on which edge, and what it adds up first (-1: the cell's input; else earlier steps). */
interface Step {
  readonly op: number;
  readonly edge: number;
  readonly inputs: readonly number[];
}

interface CellProgram {
  readonly steps: readonly Step[];
  /** What the output adds up. */
  readonly output: readonly number[];
  /** Equal for cells that compute the same, however their nodes are numbered. */
  readonly key: string;
}

/**
 * What a cell computes, without dead edges and skip connections, its sums in a canonical order: cells that differ only
 * in the numbering of their inner nodes, or in where a skip connection stands, give one program.
 */
function cellProgram(cell: readonly number[]): CellProgram {
  const live = liveOperators(cell);
  /** What flows into a node: operators by edge and source, -1 for the input itself. A skipped sum joins the sum it flows into. */
  const termsOf = (node: number): { readonly edge: number; readonly text: string }[] => {
    if (node === 0) return [{ edge: -1, text: 'x' }];
    const into = cellEdges.flatMap(([from, to], edge) => {
      if (to !== node || live[edge] === 0) return [];
      if (live[edge] === 1) return termsOf(from);
      return [{ edge, text: `${live[edge]}(${textOf(from)})` }];
    });
    return into.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.edge - b.edge));
  };
  const textOf = (node: number): string =>
    termsOf(node)
      .map(({ text }) => text)
      .join('+');

  const steps: Step[] = [];
  const stepOf = new Map<number, number>();
  const sumOf = (node: number): readonly number[] =>
    termsOf(node).map(({ edge }) => (edge < 0 ? -1 : runOf(edge, cellEdges[edge]?.[0] as number)));
  const runOf = (edge: number, from: number): number => {
    const known = stepOf.get(edge);
    if (known !== undefined) return known;
    const inputs = sumOf(from);
    steps.push({ op: live[edge] as number, edge, inputs });
    stepOf.set(edge, steps.length - 1);
    return steps.length - 1;
  };
  const output = sumOf(3);
  return { steps, output, key: `${steps.map(({ op, inputs }) => `${op}:${inputs}`).join(' ')} > ${output}` };
}

/** The first cell of every program, in lexical order; dead cells have none. */
let representatives: ReadonlyMap<string, readonly number[]> | undefined;
function listPrograms(): ReadonlyMap<string, readonly number[]> {
  if (representatives) return representatives;
  const found = new Map<string, readonly number[]>();
  for (let code = 0; code < 5 ** 6; code++) {
    const cell = cellEdges.map((_, i) => Math.floor(code / 5 ** (5 - i)) % 5);
    if (liveOperators(cell).every((op) => op === 0)) continue;
    const { key } = cellProgram(cell);
    if (!found.has(key)) found.set(key, cell);
  }
  representatives = found;
  return found;
}

export function cellSpace(file: CellFile): Space {
  const programs = listPrograms();
  const dims = cellEdges.map(([from, to]) => ({ name: `${from}>${to}`, choices: cellOperators }));
  const normal = (cell: readonly number[]): readonly number[] => {
    const known = programs.get(cellProgram(cell).key);
    if (known && liveOperators(cell).some((op) => op !== 0)) return known;
    throw new HildaError('ARCHITECTURE_INVALID', `the cell ${cell.join('')} of ${file.id} ignores its input`);
  };
  const parts = (cell: readonly number[]): Part[] => {
    const program = cellProgram(cell);
    const list: Part[] = [
      { key: 'stem', emit: (e, x) => e.conv(x, 'stem', { out: file.width, kernel: 3, activation: 'none' }) },
    ];
    for (let stage = 0; stage < file.stages; stage++) {
      const width = file.width * 2 ** stage;
      if (stage > 0)
        list.push({ key: `reduce ${width}`, emit: (e, x) => reduction(e, x, `reduce${stage}`, width) });
      for (let n = 0; n < file.cells; n++) {
        list.push({
          key: `cell ${program.key}`,
          emit: (e, x) => emitCell(e, x, `stage${stage + 1}.cell${n + 1}`, program),
        });
      }
    }
    return [
      ...list,
      {
        key: 'head',
        emit: (e, x) => e.imageHead(e.b.relu(e.batchNorm(x, 'last')), 'classifier', file.classes),
      },
    ];
  };
  const space = chainSpace({
    id: file.id,
    dims,
    normal,
    size: programs.size,
    input: () => [1, ...file.input],
    parts,
    // A lone skip connection, and a 3x3 convolution on every edge.
    seeds: [
      [0, 0, 0, 1, 0, 0],
      [3, 3, 3, 3, 3, 3],
    ],
  });
  return withoutDeadCells(space, normal);
}

/** Draws and moves that could land on a dead cell are repeated. */
function withoutDeadCells(space: Space, normal: (cell: readonly number[]) => readonly number[]): Space {
  const alive = (cell: readonly number[]): boolean => liveOperators(cell).some((op) => op !== 0);
  const draw = (rng: Rng): number[] => cellEdges.map(() => randomInt(rng, cellOperators.length));
  return {
    ...space,
    sample(rng) {
      for (;;) {
        const cell = draw(rng);
        if (alive(cell)) return normal(cell);
      }
    },
    mutate(architecture, rng, probability = 1 / cellEdges.length) {
      const from = space.normalise(architecture) as readonly number[];
      for (;;) {
        const other = draw(rng);
        const forced = randomInt(rng, cellEdges.length);
        const cell = from.map((op, i) =>
          i === forced || rng.next() < probability / 2 ? (other[i] as number) : op,
        );
        if (!alive(cell)) continue;
        const to = normal(cell);
        if (to.some((op, i) => op !== from[i])) return to;
      }
    },
    crossover(a, b, rng) {
      const [x, y] = [space.normalise(a), space.normalise(b)] as [readonly number[], readonly number[]];
      const cell = x.map((op, i) => (rng.next() < 0.5 ? op : (y[i] as number)));
      return alive(cell) ? normal(cell) : x;
    },
  };
}

function emitCell(e: Emitter, x: string, name: string, { steps, output }: CellProgram): string {
  const values: string[] = [];
  const sum = (inputs: readonly number[]): string => {
    const [first, ...rest] = inputs.map((i) => (i < 0 ? x : (values[i] as string)));
    return rest.reduce((total, value) => e.b.add(total, value), first as string);
  };
  for (const { op, edge, inputs } of steps) {
    const input = sum(inputs);
    if (op === 4) {
      const pool = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], count_include_pad: 0 };
      values.push(e.b.node('AveragePool', [input], pool));
      continue;
    }
    const width = e.b.dimsOf(input)[1] as number;
    // ReLU, convolution, batch normalisation, in this order.
    const conv = { out: width, kernel: op === 3 ? 3 : 1, activation: 'none' as const };
    values.push(e.conv(e.b.relu(input), `${name}.edge${edge}`, conv));
  }
  return sum(output);
}

/** The residual block between stages: two 3x3 convolutions, the first of stride 2; a pooled, widened shortcut. */
function reduction(e: Emitter, x: string, name: string, width: number): string {
  const first = e.conv(e.b.relu(x), `${name}.conv1`, {
    out: width,
    kernel: 3,
    stride: 2,
    activation: 'none',
  });
  const second = e.conv(e.b.relu(first), `${name}.conv2`, { out: width, kernel: 3, activation: 'none' });
  const pool = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] };
  const inWidth = e.b.dimsOf(x)[1] as number;
  const shortcut = e.b.conv(
    e.b.node('AveragePool', [x], pool),
    e.weight(`${name}.shortcut.weight`, [width, inWidth, 1, 1]),
  );
  return e.b.add(second, shortcut);
}
