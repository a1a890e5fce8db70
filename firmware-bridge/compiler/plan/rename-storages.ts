import type { View } from '../lower/operators.js';
import type { Schedule, Step, Task } from './schedule.js';

/** A schedule with every task replaced. */
function mapTasks(steps: readonly Step[], change: (task: Task) => Task): Step[] {
  return steps.map((step): Step => {
    if (step.kind === 'single' || step.kind === 'generated') return { ...step, task: change(step.task) };
    if (step.kind === 'loop') return { ...step, tasks: step.tasks.map(change) };
    return {
      ...step,
      producers: step.producers.map(change),
      windowed: change(step.windowed),
      rest: step.rest.map(change),
    };
  });
}

/** The schedule with one storage standing for another: views of `from` become views of `to`. */
export function mergeStorages(schedule: Schedule, target: ReadonlyMap<number, number>): Schedule {
  const find = (id: number): number => {
    let at = id;
    for (let next = target.get(at); next !== undefined; next = target.get(at)) at = next;
    return at;
  };
  const moved = (view: View): View => ({ ...view, storage: find(view.storage) });
  const steps = mapTasks(schedule.steps, (task) => ({
    ...task,
    operator: {
      ...task.operator,
      reads: task.operator.reads.map((read) => ({ ...read, view: moved(read.view) })),
      write: moved(task.operator.write),
    },
  }));
  return { storages: new Map([...schedule.storages].filter(([id]) => !target.has(id))), steps };
}
