import { type Schedule, type Step, type Task, tasksOf } from './schedule.js';

/** From when to when a storage holds something that is still needed, in task positions, both ends included. */
export interface Lifetime {
  readonly first: number;
  readonly last: number;
}

export interface Positions {
  /** First and last position of each step. */
  readonly steps: readonly Lifetime[];
  readonly byTask: ReadonlyMap<Task, number>;
  readonly count: number;
}

export function positionsOf(steps: readonly Step[]): Positions {
  const byTask = new Map<Task, number>();
  let at = 0;
  const spans = steps.map((step) => {
    const first = at;
    for (const task of tasksOf(step)) byTask.set(task, at++);
    return { first, last: at - 1 };
  });
  return { steps: spans, byTask, count: at };
}

/**
 * Lifetimes of a schedule's storages. A group runs its tasks again and again, so what it shares with the rest of the
 * program, or keeps from one iteration to the next, lives as long as the whole group; what one iteration fills and
 * empties lives among its tasks only.
 */
export function lifetimesOf(
  { steps }: Schedule,
  ends: { readonly input: number; readonly output: number },
): Map<number, Lifetime> {
  const { steps: spans, byTask, count } = positionsOf(steps);
  const places = new Map<number, Set<number>>();
  const steady = new Set<number>();
  steps.forEach((step, i) => {
    for (const task of tasksOf(step)) {
      for (const storage of storagesOf(task)) places.set(storage, (places.get(storage) ?? new Set()).add(i));
      for (const storage of keptBetweenIterations(task)) steady.add(storage);
    }
  });
  const result = new Map<number, Lifetime>();
  const touch = (storage: number, first: number, last: number): void => {
    const known = result.get(storage);
    result.set(storage, {
      first: Math.min(first, known?.first ?? first),
      last: Math.max(last, known?.last ?? last),
    });
  };
  steps.forEach((step, i) => {
    const span = spans[i] as Lifetime;
    for (const task of tasksOf(step)) {
      const at = byTask.get(task) as number;
      for (const storage of storagesOf(task)) {
        const local = (places.get(storage)?.size ?? 0) === 1 && !steady.has(storage);
        if (local) touch(storage, at, at);
        else touch(storage, span.first, span.last);
      }
    }
  });
  // The caller writes the input before the first task and reads the output after the last.
  if (result.has(ends.input)) touch(ends.input, -1, -1);
  touch(ends.output, count, count);
  return result;
}

export const storagesOf = ({ operator }: Task): readonly number[] => [
  ...operator.reads.map((read) => read.view.storage),
  operator.write.storage,
];

/** What a task of a group does not fill and empty within one iteration: it walks along it, or goes round it. */
function keptBetweenIterations(task: Task): number[] {
  const { operator, readSteps, writeStep, ringOut, ringRows } = task;
  return [
    ...operator.reads.flatMap(({ view }, i) => (readSteps[i] !== 0 || ringRows > 0 ? [view.storage] : [])),
    ...(writeStep !== 0 || ringOut ? [operator.write.storage] : []),
  ];
}
