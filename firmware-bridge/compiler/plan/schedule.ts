import type { Operator, Storage } from '../lower/operators.js';

/**
 * One operator record to be: an operator of one batch whose views are those of the first iteration, and the bytes each
 * operand moves an iteration of the group it stands in (0 outside groups).
 */
export interface Task {
  readonly operator: Operator;
  /** By read. */
  readonly readSteps: readonly number[];
  /** Of the constant operand of an Add or Mul. */
  readonly constantStep: number;
  readonly writeStep: number;
  /** The write goes round the ring that the group's windowed operator reads. */
  readonly ringOut: boolean;
  /** Input rows of the ring a windowed operator reads; 0 elsewhere. */
  readonly ringRows: number;
}

/** What runs as one: an operator, a LOOP over blocks of rows or tiles of channels, a WINDOW over image rows (ABI.md, "Groups"). */
export type Step =
  | { readonly kind: 'single'; readonly task: Task }
  | {
      readonly kind: 'loop';
      readonly iterations: number;
      /** Rows of the last iteration where it is a short one; 0: it is as long as the others. */
      readonly partialRows: number;
      readonly tasks: readonly Task[];
    }
  /** One operator whose weights are generated, tile by tile of `outputs` channels (a divisor of all), before each is used. */
  | { readonly kind: 'generated'; readonly task: Task; readonly outputs: number }
  | {
      readonly kind: 'window';
      /** Output rows. */
      readonly rows: number;
      readonly producers: readonly Task[];
      readonly windowed: Task;
      readonly rest: readonly Task[];
    };

/** What the board will do, in order. `storages` are all that tasks name, those that hold a block or a ring among them. */
export interface Schedule {
  readonly storages: ReadonlyMap<number, Storage>;
  readonly steps: readonly Step[];
}

export const tasksOf = (step: Step): readonly Task[] => {
  switch (step.kind) {
    case 'single':
    case 'generated':
      return [step.task];
    case 'loop':
      return step.tasks;
    case 'window':
      return [...step.producers, step.windowed, ...step.rest];
  }
};

/** An operator as a task outside any group. */
export const soloTask = (operator: Operator): Task => ({
  operator,
  readSteps: operator.reads.map(() => 0),
  constantStep: 0,
  writeStep: 0,
  ringOut: false,
  ringRows: 0,
});

/** An operator of a loop as a task of it. */
export const loopTask = (operator: Operator): Task => ({
  ...soloTask(operator),
  readSteps: operator.loop?.readSteps ?? operator.reads.map(() => 0),
  writeStep: operator.loop?.writeStep ?? 0,
});

/** One task for each batch of an operator: records know rows only. */
export function perBatch(operator: Operator): readonly Operator[] {
  const { batch } = operator.write;
  if (batch === 1) return [operator];
  return Array.from({ length: batch }, (_, i) => ({
    ...operator,
    reads: operator.reads.map(({ view, access }) => ({
      access,
      view: {
        ...view,
        batch: 1,
        batchStride: 0,
        offset: view.offset + (view.batch > 1 ? i * view.batchStride : 0),
      },
    })),
    write: {
      ...operator.write,
      batch: 1,
      batchStride: 0,
      offset: operator.write.offset + i * operator.write.batchStride,
    },
  }));
}
