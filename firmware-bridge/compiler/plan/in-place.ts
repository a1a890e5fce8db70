import { type Read, type View, viewBytes } from '../lower/operators.js';
import { positionsOf, storagesOf } from './lifetimes.js';
import { mergeStorages } from './rename-storages.js';
import { type Schedule, type Task, tasksOf } from './schedule.js';

/** Operators that may write exactly where they read (ABI.md, "Order guarantee"). */
const worksInPlace = new Set(['add', 'mul', 'lookup', 'softmax', 'layerNorm']);

/**
 * Gives an elementwise operator's output the storage of an input that nothing reads afterwards. `input` and `output` are
 * the network's own storages; the output may take over another's place, the input may be overwritten.
 */
export function shareInPlace(
  schedule: Schedule,
  ends: { readonly input: number; readonly output: number },
): { readonly schedule: Schedule; readonly output: number } {
  const { byTask } = positionsOf(schedule.steps);
  const target = new Map<number, number>();
  const find = (id: number): number => {
    let at = id;
    for (let next = target.get(at); next !== undefined; next = target.get(at)) at = next;
    return at;
  };
  // Which tasks touch a storage, in order; merged storages share one list.
  const touches = new Map<number, { readonly task: Task; readonly at: number }[]>();
  for (const [task, at] of byTask)
    for (const storage of new Set(storagesOf(task))) {
      const known = touches.get(storage);
      if (known) known.push({ task, at });
      else touches.set(storage, [{ task, at }]);
    }
  const bytesOf = (id: number): number => schedule.storages.get(id)?.bytes ?? 0;
  for (const step of schedule.steps) {
    const group = tasksOf(step);
    for (const task of group) {
      const to = task.operator.write.storage;
      if (target.has(to) || to === ends.input) continue;
      // Heads and other batches are several tasks that fill one storage.
      const writers = (touches.get(to) ?? []).filter((touch) => touch.task.operator.write.storage === to);
      if (writers[0]?.task !== task || !writers.every((writer) => group.includes(writer.task))) continue;
      const sources = task.operator.reads.map((read) => find(read.view.storage));
      const from = sources.find((source) => {
        const last = writers.at(-1)?.at as number;
        const first = writers[0]?.at as number;
        const later = (touches.get(source) ?? []).filter(({ at }) => at >= first);
        return (
          source !== find(to) &&
          source !== find(ends.output) &&
          bytesOf(source) >= bytesOf(to) &&
          writers.every((writer) => canReplace(writer.task, source, find)) &&
          later.every(
            ({ task: other, at }) => at <= last && writers.some((writer) => writer.task === other),
          ) &&
          !group.some((other) => walksOtherwise(other, source, task.writeStep, find))
        );
      });
      if (from === undefined) continue;
      target.set(to, from);
      const both = [...(touches.get(from) ?? []), ...(touches.get(to) ?? [])];
      touches.set(
        from,
        both.sort((a, b) => a.at - b.at),
      );
    }
  }
  return { schedule: mergeStorages(schedule, target), output: find(ends.output) };
}

/** Whether a task may write its result where it reads from the storage `from`. */
function canReplace(task: Task, from: number, find: (id: number) => number): boolean {
  const { body, reads, write } = task.operator;
  return (
    worksInPlace.has(body.kind) &&
    !task.ringOut &&
    reads.some(
      (read, i) =>
        find(read.view.storage) === from && sameWalk(read, write) && task.readSteps[i] === task.writeStep,
    )
  );
}

const sameWalk = ({ view, access }: Read, write: View): boolean =>
  access === 'rows' &&
  view.offset === write.offset &&
  view.rows === write.rows &&
  view.width === write.width &&
  (view.rows === 1 || view.rowStride === write.rowStride) &&
  viewBytes(view) === viewBytes(write);

/** Whether a task of the group reads the storage whole, or at another pace: it would meet rows already replaced. */
const walksOtherwise = (
  { operator, readSteps }: Task,
  storage: number,
  step: number,
  find: (id: number) => number,
): boolean =>
  operator.reads.some(
    (read, i) => find(read.view.storage) === storage && (read.access === 'all' || readSteps[i] !== step),
  );
