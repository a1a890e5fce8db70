import type uPlot from 'uplot';
import type { FrontRow } from './wire.js';

/** The 95 % intervals of a metric by the values of another, of the rows that have both. */
const intervalsOf = (x: string, y: string, rows: readonly FrontRow[]) =>
  rows.flatMap(({ values, evidence }) => {
    const [at, ci] = [values[x], evidence[y]?.ci];
    return at === undefined || !ci ? [] : [{ at, ci }];
  });

/** A range that holds the points and the intervals, with a margin of 5 %. */
export function rangeWith(
  x: string,
  y: string,
  rows: readonly FrontRow[],
  [low, high]: readonly [number | null, number | null],
): [number, number] {
  if (low === null || high === null) return [0, 1];
  const ends = intervalsOf(x, y, rows).flatMap(({ ci }) => [...ci]);
  const [least, most] = [Math.min(low, ...ends), Math.max(high, ...ends)];
  const margin = 0.05 * (most - least || Math.abs(most) || 1);
  return [least - margin, most + margin];
}

/** Draws the intervals as upright lines through the members of a front. */
export function drawWhiskers(
  plot: uPlot,
  { x, y, rows, colour }: { x: string; y: string; rows: readonly FrontRow[]; colour: string },
): void {
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (const { at, ci } of intervalsOf(x, y, rows)) {
    const left = plot.valToPos(at, 'x', true);
    ctx.moveTo(left, plot.valToPos(ci[0], 'y', true));
    ctx.lineTo(left, plot.valToPos(ci[1], 'y', true));
  }
  ctx.stroke();
  ctx.restore();
}
