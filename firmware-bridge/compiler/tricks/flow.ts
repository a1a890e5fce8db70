import type { Operator, Storage, View } from '../lower/operators.js';
import { loopTask, type Step, soloTask, type Task, tasksOf } from '../plan/schedule.js';

/** An operator, or a group that an earlier trick made of several. */
export type Item = Operator | Exclude<Step, { kind: 'single' }>;

export const isGroup = (item: Item): item is Exclude<Step, { kind: 'single' }> => 'kind' in item;

/** A network while tricks reshape it. */
export interface Plot {
  readonly storages: Map<number, Storage>;
  readonly items: readonly Item[];
  /** Storages that outlive the program. */
  readonly output: number;
  readonly input: number;
}

export function addStorage(storages: Map<number, Storage>, name: string, bytes: number): number {
  const id = storages.size === 0 ? 0 : Math.max(...storages.keys()) + 1;
  storages.set(id, { id, name, bytes });
  return id;
}

/** Operators with those of each loop as one group, in their order. */
export function groupLoops(operators: readonly Operator[]): Item[] {
  const items: Item[] = [];
  for (let at = 0; at < operators.length; ) {
    const { loop } = operators[at] as Operator;
    let end = at + 1;
    while (loop && operators[end]?.loop?.id === loop.id) end++;
    if (!loop) items.push(operators[at] as Operator);
    else
      items.push({
        kind: 'loop',
        iterations: loop.iterations,
        partialRows: 0,
        tasks: operators.slice(at, end).map(loopTask),
      });
    at = end;
  }
  return items;
}

const operatorsOf = (item: Item): readonly Operator[] =>
  isGroup(item) ? tasksOf(item).map((task) => task.operator) : [item];

export const readStorages = (item: Item): number[] =>
  operatorsOf(item).flatMap((operator) => operator.reads.map((read) => read.view.storage));
export const writtenStorages = (item: Item): number[] =>
  operatorsOf(item).map((operator) => operator.write.storage);

/** Who reads and who writes each storage, by index in the list. */
export function usesOf(items: readonly Item[]): {
  readonly readers: ReadonlyMap<number, readonly number[]>;
  readonly writers: ReadonlyMap<number, readonly number[]>;
} {
  const [readers, writers] = [new Map<number, number[]>(), new Map<number, number[]>()];
  const note = (map: Map<number, number[]>, storage: number, i: number): void => {
    const known = map.get(storage);
    if (!known) map.set(storage, [i]);
    else if (known.at(-1) !== i) known.push(i);
  };
  items.forEach((item, i) => {
    for (const storage of readStorages(item)) note(readers, storage, i);
    for (const storage of writtenStorages(item)) note(writers, storage, i);
  });
  return { readers, writers };
}

/** A task whose operands move by what `stepOf` says of each view. */
export function steppedTask(
  operator: Operator,
  stepOf: (view: View, index: number | 'write') => number,
  constantStep = 0,
): Task {
  return {
    ...soloTask(operator),
    readSteps: operator.reads.map((read, i) => stepOf(read.view, i)),
    writeStep: stepOf(operator.write, 'write'),
    constantStep,
  };
}
