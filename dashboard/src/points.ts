import { signal } from '@preact/signals';
import { fetchColumns } from './api.js';
import { attempt } from './loading.js';
import type { Trial } from './wire.js';

/** Values of two metrics by the number of the complete trial that has both. */
export type Points = ReadonlyMap<number, readonly [x: number, y: number]>;

interface Axes {
  readonly study: string;
  readonly x: string;
  readonly y: string;
  readonly points: Map<number, readonly [number, number]>;
}

/** One for each pair of axes that is drawn. */
let drawn: Axes[] = [];
/** Grows when points have changed: charts draw anew. */
export const pointsChange = signal(0);

/** The points over these axes, as far as they are known; loads them when they are asked for first. */
export function pointsOver(study: string, x: string, y: string): Points {
  const known = drawn.find((one) => one.study === study && one.x === x && one.y === y);
  if (known) return known.points;
  const axes: Axes = { study, x, y, points: new Map() };
  drawn = [...drawn.filter((one) => one.study === study), axes];
  void attempt(async () => {
    for await (const { numbers, columns } of fetchColumns(study, [x, y])) {
      const [xs, ys] = columns.map(({ values }) => values) as [number[], number[]];
      // What was heard meanwhile is newer.
      for (const [i, number] of numbers.entries())
        if (!axes.points.has(number)) axes.points.set(number, [xs[i] as number, ys[i] as number]);
      pointsChange.value++;
    }
  });
  return axes.points;
}

/** Charts load them anew. */
export function forgetPoints(): void {
  drawn = [];
  pointsChange.value++;
}

/** Trials that have ended, or were revised, as events tell of them. */
export function addToPoints(news: readonly (Pick<Trial, 'number'> & Partial<Trial>)[]): void {
  let changed = false;
  for (const { points, x, y } of drawn)
    for (const { number, state, values } of news) {
      const [px, py] = [values?.[x], values?.[y]];
      if (state === 'complete' && px !== undefined && py !== undefined) points.set(number, [px, py]);
      else if (!points.delete(number)) continue;
      changed = true;
    }
  if (changed) pointsChange.value++;
}
