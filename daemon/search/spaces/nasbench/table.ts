import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import { type Rng, randomInt } from '../../../core/rng.js';
import type { Dim, FreeStats, Space } from '../contract.js';
import {
  cellEdges,
  cellOperators,
  type ExecutedCell,
  runEagerly,
  runFolded,
  runPruned,
} from './cell-execution.js';

const operators = cellOperators;
const edges = cellEdges;

/** Edges along each way from input to output. */
const paths = [[3], [0, 4], [1, 5], [0, 2, 5]] as const;

const isOpen = (cell: readonly number[], path: readonly number[]): boolean => {
  for (const edge of path) if (cell[edge] === 0) return false;
  return true;
};

/** The cell's operators with those that the output does not depend on replaced by `none`; all `none` when dead. */
export function liveOperators(cell: readonly number[]): number[] {
  const live = cell.map(() => 0);
  for (const path of paths)
    if (isOpen(cell, path)) for (const edge of path) live[edge] = cell[edge] as number;
  return live;
}

/** One-hot decisions of the live cell, and the operators along each path from input to output (White et al. 2021). */
export function cellDecisions(cell: readonly number[]): ReadonlyMap<string, number> {
  const live = liveOperators(cell);
  const features = new Map(live.map((op, i) => [`${i}=${operators[op]}`, 1]));
  for (const path of paths)
    if (isOpen(live, path)) features.set(`path ${path.map((edge) => live[edge]).join('')}`, 1);
  for (const [op, name] of operators.entries()) {
    const count = live.filter((other) => other === op).length;
    if (count > 0) features.set(`count ${name}`, count);
  }
  return features;
}

/**
 * The cells of NAS-Bench-201 as a space: six edges, five operators each. Cells whose output does not depend on the
 * input are no members. It stands for a table of finished measurements: it holds no networks, and every cell that the
 * table lists apart is an architecture of its own, isomorphic ones included.
 */
export class CellTableSpace implements Space {
  readonly id: string;
  readonly dims: readonly Dim[] = edges.map(([from, to]) => ({ name: `${from}>${to}`, choices: operators }));
  readonly size: number;

  constructor(id = 'cell-table') {
    this.id = id;
    let size = 0;
    for (let code = 0; code < 5 ** 6; code++) {
      const cell = edges.map((_, i) => Math.floor(code / 5 ** i) % 5);
      if (isAlive(cell)) size++;
    }
    this.size = size;
  }

  sample(rng: Rng): readonly number[] {
    for (;;) {
      const cell = edges.map(() => randomInt(rng, operators.length));
      if (isAlive(cell)) return cell;
    }
  }

  mutate(architecture: Architecture, rng: Rng, probability = 1 / edges.length): readonly number[] {
    const cell = this.normalise(architecture);
    for (;;) {
      const forced = randomInt(rng, edges.length);
      const child = cell.map((op, i) =>
        i === forced || rng.next() < probability / 2
          ? (op + 1 + randomInt(rng, operators.length - 1)) % operators.length
          : op,
      );
      if (isAlive(child)) return child;
    }
  }

  crossover(a: Architecture, b: Architecture, rng: Rng): readonly number[] {
    const [x, y] = [this.normalise(a), this.normalise(b)];
    const child = x.map((op, i) => (rng.next() < 0.5 ? op : (y[i] as number)));
    return isAlive(child) ? child : x;
  }

  normalise(architecture: Architecture): readonly number[] {
    const cell = architecture as readonly number[];
    const valid =
      Array.isArray(cell) &&
      cell.length === edges.length &&
      cell.every((op) => Number.isInteger(op) && op >= 0 && op < operators.length);
    if (!valid || !isAlive(cell)) {
      throw new HildaError(
        'ARCHITECTURE_INVALID',
        `${JSON.stringify(architecture)} is no live cell of ${this.id}`,
      );
    }
    return cell;
  }

  /** Relative: operator counts stand for costs, since the table holds no network. */
  stats(architecture: Architecture): FreeStats {
    const features = this.features(architecture);
    const macs = features.get('macs') ?? 0;
    return { macs, parameters: macs, weightBytes: 4 * macs, peakActivationBytes: 0 };
  }

  /**
   * How often each operator stands in the cell, and how often among the operators that reach the output: a compiling
   * runtime executes only the latter, an eager one all.
   */
  features(architecture: Architecture): ReadonlyMap<string, number> {
    const cell = this.normalise(architecture);
    const features = new Map<string, number>();
    const add = (key: string, value: number): void =>
      void features.set(key, (features.get(key) ?? 0) + value);
    for (const op of cell) if (op !== 0) add(`all ${operators[op]}`, 1);
    for (const op of liveOperators(cell)) {
      if (op === 0) continue;
      add(`live ${operators[op]}`, 1);
      add('macs', op === 2 ? 1 : op === 3 ? 9 : 0);
      add('bytesMoved', 1);
    }
    return features;
  }

  /** What eager, compiling and merely pruning runtimes execute, and the decisions. */
  views(architecture: Architecture): Readonly<Record<string, ReadonlyMap<string, number>>> {
    const cell = this.normalise(architecture);
    return {
      eager: executedFeatures(runEagerly(cell)),
      folded: executedFeatures(runFolded(cell)),
      pruned: executedFeatures(runPruned(cell)),
      decisions: new Map(cell.map((op, i) => [`${i}=${operators[op]}`, 1])),
    };
  }

  decisions(architecture: Architecture): ReadonlyMap<string, number> {
    return cellDecisions(this.normalise(architecture));
  }

  network(): never {
    throw new HildaError(
      'SPACE_INVALID',
      `the space ${this.id} is a table of measurements and holds no networks`,
    );
  }
}

/** `skip_connect` executes nothing, and `none` nothing that takes time. */
function executedFeatures({ operators: run, additions }: ExecutedCell): ReadonlyMap<string, number> {
  const features = new Map<string, number>([['additions', additions]]);
  for (const op of [2, 3, 4]) {
    const count = run.filter((other) => other === op).length;
    if (count > 0) features.set(operators[op] as string, count);
  }
  return features;
}

const isAlive = (cell: readonly number[]): boolean => paths.some((path) => isOpen(cell, path));
