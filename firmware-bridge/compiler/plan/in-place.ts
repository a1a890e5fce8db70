import { type Read, type View, viewBytes } from '../lower/operators.js';
import { lifetimesOf, positionsOf } from './lifetimes.js';
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
  const lifetimes = new Map(lifetimesOf(schedule, ends));
  const target = new Map<number, number>();
  const find = (id: number): number => {
    let at = id;
    for (let next = target.get(at); next !== undefined; next = target.get(at)) at = next;
    return at;
  };
  // The last task that touches a storage, which lifetimes blur to whole groups.
  const lastTouch = new Map<number, number>();
  const firstTouch = new Map<number, number>();
  const touch = (storage: number, at: number): void => {
    lastTouch.set(storage, Math.max(at, lastTouch.get(storage) ?? at));
    firstTouch.set(storage, Math.min(at, firstTouch.get(storage) ?? at));
  };
  for (const [task, at] of byTask) {
    for (const { view } of task.operator.reads) touch(view.storage, at);
    touch(task.operator.write.storage, at);
  }
  const bytesOf = (id: number): number => schedule.storages.get(id)?.bytes ?? 0;
  for (const step of schedule.steps) {
    for (const task of tasksOf(step)) {
      const { body, reads, write } = task.operator;
      if (!worksInPlace.has(body.kind) || task.ringOut) continue;
      const at = byTask.get(task) as number;
      const to = write.storage;
      if (firstTouch.get(to) !== at || target.has(to)) continue;
      const wholeGroup = tasksOf(step);
      const source = reads.findIndex((read, i) => {
        const from = find(read.view.storage);
        return (
          from !== find(to) &&
          sameWalk(read, write) &&
          task.readSteps[i] === task.writeStep &&
          lastTouch.get(from) === at &&
          from !== find(ends.output) &&
          bytesOf(from) >= bytesOf(to) &&
          !wholeGroup.some((other) => walksOtherwise(other, read.view.storage, task.writeStep))
        );
      });
      if (source < 0) continue;
      const from = find((reads[source] as Read).view.storage);
      target.set(to, from);
      lastTouch.set(from, lastTouch.get(to) as number);
      lifetimes.delete(to);
    }
  }
  return { schedule: mergeStorages(schedule, target), output: find(ends.output) };
}

const sameWalk = ({ view, access }: Read, write: View): boolean =>
  access === 'rows' &&
  view.offset === write.offset &&
  view.rows === write.rows &&
  view.width === write.width &&
  (view.rows === 1 || view.rowStride === write.rowStride) &&
  viewBytes(view) === viewBytes(write);

/** Whether a task of the group reads the storage whole, or at another pace: it would meet rows already replaced. */
const walksOtherwise = ({ operator, readSteps }: Task, storage: number, step: number): boolean =>
  operator.reads.some(
    (read, i) => read.view.storage === storage && (read.access === 'all' || readSteps[i] !== step),
  );
