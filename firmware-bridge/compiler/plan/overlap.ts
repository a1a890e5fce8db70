import type { View } from '../lower/operators.js';
import { type Step, type Task, tasksOf } from './schedule.js';

/** Rows that a kernel may finish together (ABI.md, "Order guarantee"). */
const blockRows = 4;

/**
 * By how many bytes a step's output must start below an input that dies in it, so that no byte is overwritten before it
 * was read: MCUFormer's token overwriting, as diagonal memory optimisation (Blacker et al. 2020). Negative: the output
 * may start that far behind the input. Undefined: they may not overlap.
 */
export function overlapDistance(step: Step, from: number, to: number): number | undefined {
  const tasks = tasksOf(step);
  const readers = tasks.filter((task) => task.operator.reads.some((read) => read.view.storage === from));
  const writers = tasks.filter((task) => task.operator.write.storage === to);
  const forbidden = tasks.some(
    ({ operator, ringOut, ringRows }) =>
      operator.write.storage === from ||
      operator.reads.some(
        (read) =>
          (read.view.storage === from && (read.access === 'all' || ringRows > 0)) ||
          // What is written here and read again here must not be disturbed by the walk either.
          (read.view.storage === to && read.access === 'all'),
      ) ||
      (operator.write.storage === to && ringOut),
  );
  if (forbidden || readers.length === 0 || writers.length === 0) return undefined;
  switch (step.kind) {
    case 'single':
      return withinOperator(step.task, from);
    case 'generated':
      // Each tile reads all rows: as within an operator only where all of them are one block.
      return step.task.operator.write.rows <= blockRows ? withinOperator(step.task, from) : undefined;
    case 'loop':
      return alongLoop(step.iterations, tasks, from, to);
    case 'window':
      return alongWindow(step, from, to);
  }
}

function withinOperator({ operator }: Task, from: number): number | undefined {
  const { body, reads, write } = operator;
  let distance = Number.NEGATIVE_INFINITY;
  for (const { view, access } of reads.filter((read) => read.view.storage === from)) {
    if (access === 'window') {
      if (!('window' in body)) return undefined;
      const { window } = body;
      for (let oy = 0; oy < write.rows; oy++) {
        const iy = Math.max(0, oy * window.stride[0] - window.padTop);
        if (iy >= view.rows) break;
        distance = Math.max(distance, endOfRow(write, oy) - startOfRow(view, iy));
      }
    } else
      for (let row = 0; row < write.rows; row += blockRows) {
        const last = Math.min(row + blockRows, write.rows) - 1;
        distance = Math.max(distance, endOfRow(write, last) - startOfRow(view, row));
      }
  }
  return distance;
}

const startOfRow = (view: View, row: number): number => view.offset + row * view.rowStride;
const endOfRow = (view: View, row: number): number => startOfRow(view, row) + view.width;

/** Where a task's reads of a storage begin, and how far they move an iteration. */
function readsOf(task: Task, from: number): { readonly start: number; readonly step: number }[] {
  return task.operator.reads.flatMap(({ view }, i) =>
    view.storage === from ? [{ start: view.offset, step: task.readSteps[i] as number }] : [],
  );
}

function writesOf(task: Task, to: number): { readonly end: number; readonly step: number }[] {
  const { write } = task.operator;
  return write.storage === to ? [{ end: endOfRow(write, write.rows - 1), step: task.writeStep }] : [];
}

function alongLoop(iterations: number, tasks: readonly Task[], from: number, to: number): number | undefined {
  // A walk downwards still needs what lies below: it may not overlap.
  const steps = tasks.flatMap(({ readSteps, writeStep }) => [...readSteps, writeStep]);
  if (steps.some((step) => step < 0)) return undefined;
  let distance = Number.NEGATIVE_INFINITY;
  tasks.forEach((writer, q) => {
    for (const write of writesOf(writer, to)) {
      tasks.forEach((reader, p) => {
        for (const read of readsOf(reader, from)) {
          // A reader before the writer is done with this iteration's block; the writer itself or one behind it is not.
          const ahead = p < q ? 1 : 0;
          for (let i = 0; i + ahead < iterations; i++)
            distance = Math.max(
              distance,
              write.end + i * write.step - (read.start + (i + ahead) * read.step),
            );
        }
      });
    }
  });
  return Number.isFinite(distance) ? distance : undefined;
}

function alongWindow(step: Extract<Step, { kind: 'window' }>, from: number, to: number): number | undefined {
  const { body } = step.windowed.operator;
  if (!('window' in body)) return undefined;
  const { window } = body;
  const behind = [step.windowed, ...step.rest];
  let distance = Number.NEGATIVE_INFINITY;
  if (step.producers.some((task) => task.operator.write.storage === to)) return undefined;
  behind.forEach((writer, q) => {
    for (const write of writesOf(writer, to)) {
      for (let oy = 0; oy < step.rows; oy++) {
        const end = write.end + oy * write.step;
        const reach = oy * window.stride[0] - window.padTop + (window.kernel[0] - 1) * window.dilation[0];
        const next = Math.min(window.inHeight - 1, reach) + 1;
        for (const producer of step.producers)
          for (const read of readsOf(producer, from))
            if (next < window.inHeight)
              distance = Math.max(distance, end - (read.start + Math.max(0, next) * read.step));
        behind.forEach((reader, p) => {
          const row = p < q ? oy + 1 : oy;
          for (const read of readsOf(reader, from))
            if (row < step.rows) distance = Math.max(distance, end - (read.start + row * read.step));
        });
      }
    }
  });
  return Number.isFinite(distance) ? distance : undefined;
}
