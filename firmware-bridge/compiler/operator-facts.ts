import type { CompiledNetwork } from './compile.js';
import type { WeightLayout } from './layout/format.js';
import { weightSize } from './layout/weight-sizes.js';
import { type Operator, viewBytes, type Window } from './lower/operators.js';
import { lifetimesOf, positionsOf } from './plan/lifetimes.js';
import { tileBytes } from './plan/plan-memory.js';
import { type Step, type Task, tasksOf } from './plan/schedule.js';
import { outputParts } from './tricks/weight-tiles.js';

/** What is known of a top-level operator of a program before it runs: one for each count that a board reports. */
export interface OperatorFacts {
  readonly name: string;
  readonly kind: string;
  /** Kind, shape and strides: operators of one key take the same time on one board. */
  readonly key: string;
  /** What the time of a kernel of this kind grows with, by name: calls, rows, outputs, multiply-accumulates. */
  readonly quantities: ReadonlyMap<string, number>;
  readonly outputBytes: number;
  /** Weights, biases and multipliers that are stored. */
  readonly parameterBytes: number;
  /** Arena bytes in use while it runs, scratch left out. */
  readonly liveBytes: number;
}

/** In the order of `topLevel`. */
export function operatorFacts({ schedule, board, input, output }: CompiledNetwork): OperatorFacts[] {
  const ends = { input: input.view.storage, output: output.view.storage };
  const lifetimes = [...lifetimesOf(schedule, ends)].map(([id, span]) => ({
    ...span,
    bytes: schedule.storages.get(id)?.bytes ?? 0,
  }));
  const { steps: spans } = positionsOf(schedule.steps);
  return schedule.steps.flatMap((step, i): OperatorFacts[] => {
    const { first, last } = spans[i] as { first: number; last: number };
    const liveBytes = lifetimes.reduce(
      (sum, life) => (life.first <= last && life.last >= first ? sum + life.bytes : sum),
      0,
    );
    const tasks = tasksOf(step);
    const names = [...new Set([tasks[0]?.operator.name, tasks.at(-1)?.operator.name])];
    const own: OperatorFacts = {
      name: names.join(' .. '),
      kind: step.kind === 'single' ? (tasks[0] as Task).operator.body.kind : step.kind,
      key: `${step.kind} ${runsOf(step).map(keyOf).join(' + ')}`,
      quantities: step.kind === 'generated' ? withGenerated(step, sumOf(runsOf(step))) : sumOf(runsOf(step)),
      outputBytes: viewBytes((tasks.at(-1) as Task).operator.write),
      parameterBytes: tasks.reduce(
        (sum, { operator }) => sum + parametersOf(operator, board.weightLayout, step.kind === 'generated'),
        0,
      ),
      liveBytes,
    };
    if (step.kind !== 'single' || board.weightsAt === 'flash') return [own];
    const tile = tileBytes(step.task, board.weightLayout);
    if (tile === 0) return [own];
    // The copy of weights to their tile is counted apart.
    const copy = { ...own, kind: 'weights', key: `weights ${tile}`, outputBytes: tile, parameterBytes: tile };
    return [
      {
        ...copy,
        quantities: new Map([
          ['calls', 1],
          ['bytes', tile],
        ]),
      },
      own,
    ];
  });
}

/** A task of a step, how often it is called, and the rows it makes in all. */
interface Run {
  readonly operator: Operator;
  readonly calls: number;
  readonly rows: number;
}

function runsOf(step: Step): Run[] {
  switch (step.kind) {
    case 'single':
      return [{ operator: step.task.operator, calls: 1, rows: step.task.operator.write.rows }];
    case 'generated': {
      // Tile after tile of the same size, each over all rows.
      const [operator] = outputParts(step.task.operator, [step.outputs]) as [Operator];
      const calls = step.task.operator.write.width / step.outputs;
      return [{ operator, calls, rows: calls * operator.write.rows }];
    }
    case 'loop':
      return step.tasks.map(({ operator }) => {
        const { rows } = operator.write;
        const short = step.partialRows > 0 && rows > 1 ? rows - step.partialRows : 0;
        return { operator, calls: step.iterations, rows: step.iterations * rows - short };
      });
    case 'window': {
      const { body } = step.windowed.operator;
      const lines = 'window' in body ? body.window.inHeight : step.rows;
      const each =
        (calls: number) =>
        ({ operator }: Task): Run => ({
          operator,
          calls,
          rows: calls * operator.write.rows,
        });
      return [
        ...step.producers.map(each(lines)),
        { operator: step.windowed.operator, calls: step.rows, rows: step.rows },
        ...step.rest.map(each(step.rows)),
      ];
    }
  }
}

function sumOf(runs: readonly Run[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const run of runs)
    for (const [name, value] of Object.entries(quantitiesOf(run))) {
      const key = runs.length === 1 ? name : `${run.operator.body.kind} ${name}`;
      sum.set(key, (sum.get(key) ?? 0) + value);
    }
  return sum;
}

/** The weights that are generated, beside what the operator itself does. */
function withGenerated(
  { task, outputs }: Extract<Step, { kind: 'generated' }>,
  quantities: Map<string, number>,
): Map<string, number> {
  const { body, write } = task.operator;
  const depth = body.kind === 'linear' ? body.constants.depth : 0;
  return quantities.set('generated', (write.width / outputs) * Math.ceil(outputs / 4) * 4 * depth);
}

/** Kernels work on four outputs and four inputs at a time; what is left over costs by itself. */
function quantitiesOf({ operator: { body, write, reads }, calls, rows }: Run): Record<string, number> {
  const rowsAnd = { calls, rows };
  switch (body.kind) {
    case 'linear': {
      const { outputs, depth } = body.constants;
      return { ...rowsAnd, ...products(rows, outputs, depth), gathered: rows * depth };
    }
    case 'conv': {
      const { outputs, depth } = body.constants;
      const pixels = rows * body.window.outWidth;
      return {
        ...rowsAnd,
        pixels,
        ...products(pixels, outputs, depth),
        gathered: pixels * depth,
        padding: paddedTaps(body.window) * body.window.inChannels,
      };
    }
    case 'depthwise':
    case 'maxPool':
    case 'averagePool': {
      const { window } = body;
      const pixels = rows * window.outWidth;
      const taps = window.kernel[0] * window.kernel[1];
      const padded = paddedTaps(window);
      return {
        ...rowsAnd,
        pixels,
        outputs: pixels * write.width,
        'left over': pixels * (write.width % 4),
        macs: pixels * window.outChannels * taps,
        'pixels x taps': pixels * taps,
        padding: padded,
        'padding x channels': padded * window.inChannels,
      };
    }
    case 'matmul': {
      const gathered = (reads[1]?.view.rows ?? 0) * (reads[1]?.view.width ?? 0);
      return {
        ...rowsAnd,
        ...products(rows, write.width, body.depth),
        gathered: rows * body.depth,
        b: calls * gathered,
      };
    }
    default:
      return {
        ...rowsAnd,
        outputs: rows * write.width,
        'left over': rows * (write.width % 4),
        inputs: calls * (reads[0]?.view.rows ?? 0) * (reads[0]?.view.width ?? 0),
      };
  }
}

const products = (rows: number, outputs: number, depth: number): Record<string, number> => ({
  outputs: rows * outputs,
  macs: rows * outputs * depth,
  'outputs left over': rows * (outputs % 4) * depth,
  'depth left over': rows * outputs * (depth % 4),
});

/** Taps of the kernel that fall beside the image, over all output pixels. */
function paddedTaps(w: Window): number {
  const inside = (size: number, out: number, axis: 0 | 1, pad: number): number => {
    let taps = 0;
    for (let o = 0; o < out; o++)
      for (let k = 0; k < w.kernel[axis]; k++) {
        const at = o * w.stride[axis] - pad + k * w.dilation[axis];
        if (at >= 0 && at < size) taps++;
      }
    return taps;
  };
  const all = w.outHeight * w.outWidth * w.kernel[0] * w.kernel[1];
  return all - inside(w.inHeight, w.outHeight, 0, w.padTop) * inside(w.inWidth, w.outWidth, 1, w.padLeft);
}

function keyOf({ operator: { body, write, reads }, calls, rows }: Run): string {
  const view = ({ rows: r, rowStride, width }: Operator['write']): string => `${r}x${width}/${rowStride}`;
  const shape = 'window' in body ? Object.values(body.window).flat().join(',') : '';
  const depth = 'constants' in body ? body.constants.depth : body.kind === 'matmul' ? body.depth : '';
  const flag = body.kind === 'matmul' && body.bTransposed ? 't' : '';
  const order = body.kind === 'transpose' ? `${body.dims.join()};${body.strides.join()}` : '';
  const seen = reads.map((read) => view(read.view)).join(' ');
  return `${body.kind} ${calls}x${rows} ${seen} > ${view(write)} ${[shape, depth, flag, order].filter((x) => x !== '').join(' ')}`;
}

function parametersOf({ body }: Operator, layout: WeightLayout, generated: boolean): number {
  if (body.kind === 'layerNorm') return 4 * (body.scale.length + body.shift.length);
  if (body.kind === 'constant') return body.data.length;
  if (body.kind === 'lstmCell' || body.kind === 'gruCell') return body.curves.byteLength;
  if (body.kind !== 'linear' && body.kind !== 'conv' && body.kind !== 'depthwise') return 0;
  const form = body.kind === 'depthwise' ? 'channels' : 'packed';
  const weights = generated ? 0 : weightSize(body.constants, form, layout);
  return weights + 8 * body.constants.outputs;
}
