import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { metricTitle } from '../../daemon/core/metric-title.js';
import { formatMetric } from '../../daemon/core/quantities.js';
import { chartColours } from './chart-colours.js';
import { pointsChange, pointsOver } from './points.js';
import { studyId } from './study-state.js';
import { drawWhiskers, rangeWith } from './whiskers.js';
import type { FrontRow } from './wire.js';

type Series = [number[], (number | null)[], (number | null)[]];

/** Points sorted by x, one series for the front and one for all other complete trials: uPlot's aligned form. */
function points(x: string, y: string, rows: readonly FrontRow[]): Series {
  const onFront = new Set(rows.map(({ trialNumber }) => trialNumber));
  pointsChange.value;
  const all = [...pointsOver(studyId.value ?? '', x, y)];
  for (const { trialNumber, values } of rows) {
    const [px, py] = [values[x], values[y]];
    if (px !== undefined && py !== undefined) all.push([trialNumber, [px, py]]);
  }
  const known = [...new Map(all)].sort(([, [a]], [, [b]]) => a - b);
  const pick = (wanted: boolean) =>
    known.map(([number, [, value]]) => (onFront.has(number) === wanted ? value : null));
  return [known.map(([, [value]]) => value), pick(false), pick(true)];
}

function options(
  x: string,
  y: string,
  width: number,
  label: (metric: string) => string,
  rows: () => readonly FrontRow[],
): uPlot.Options {
  // With as many digits as the members' intervals allow.
  const read = (metric: string, value: number | null): string =>
    formatMetric(
      metric,
      value ?? undefined,
      rows().find(({ evidence }) => evidence[metric]?.ci)?.evidence[metric]?.ci,
    );
  const { text, line, faint, accent } = chartColours();
  const axis = (metric: string, size: number): uPlot.Axis => ({
    label: label(metric),
    stroke: text,
    size,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    values: (_, splits) => splits.map((value) => formatMetric(metric, value)),
  });
  return {
    width,
    height: Math.max(240, Math.min(420, width * 0.6)),
    scales: {
      x: { time: false },
      y: { range: (_, low, high) => rangeWith(x, y, rows(), [low, high]) },
    },
    hooks: { draw: [(plot) => drawWhiskers(plot, { x, y, rows: rows(), colour: accent })] },
    legend: { show: true },
    axes: [axis(x, 50), axis(y, 70)],
    series: [
      { label: label(x), value: (_, value) => read(x, value) },
      {
        label: 'dominated',
        stroke: faint,
        paths: () => null,
        points: { show: true, size: 6, stroke: faint },
        value: (_, value) => read(y, value),
      },
      {
        label: 'front',
        stroke: accent,
        width: 2,
        spanGaps: true,
        points: { show: true, size: 9, fill: accent },
        value: (_, value) => read(y, value),
      },
    ],
  };
}

export function FrontChart({
  x,
  y,
  rows,
  device,
}: {
  readonly x: string;
  readonly y: string;
  readonly rows: () => readonly FrontRow[];
  readonly device?: string | undefined;
}) {
  const host = useRef<HTMLDivElement>(null);
  const label = (metric: string): string => metricTitle(metric, rows(), device);
  // Provenance is known with the first point: the axes are drawn anew then.
  const xLabel = label(x);
  useEffect(() => {
    const element = host.current as HTMLDivElement;
    const data = () => points(x, y, rows());
    const plot = new uPlot(options(x, y, element.clientWidth, label, rows), data(), element);
    const stopFollowing = effect(() => plot.setData(data()));
    const resizing = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: plot.height }),
    );
    resizing.observe(element);
    return () => {
      stopFollowing();
      resizing.disconnect();
      plot.destroy();
    };
  }, [x, y, device, xLabel]);
  return (
    <div
      ref={host}
      class="chart"
      role="img"
      aria-label={`${label(y)} over ${xLabel}, with 95 % intervals where they are known; the table below holds the same points`}
    />
  );
}
