import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { chartColours } from './chart-colours.js';

export interface Figure {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** What the points would lie on, at each x. */
  readonly ideal?: (x: number) => number;
  readonly joined?: boolean;
}

const format = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(Number(value.toPrecision(3)));

function options({ x, y, ideal, joined = false }: Figure, width: number): uPlot.Options {
  const { text, line, faint, accent } = chartColours();
  const axis = (label: string, size: number): uPlot.Axis => ({
    label,
    size,
    stroke: text,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    values: (_, splits) => splits.map(format),
  });
  return {
    width,
    height: Math.max(200, Math.min(320, width * 0.6)),
    scales: { x: { time: false } },
    legend: { show: false },
    axes: [axis(x, 50), axis(y, 70)],
    series: [
      { label: x },
      {
        label: y,
        stroke: accent,
        ...(!joined && { paths: () => null }),
        points: { show: true, size: 6, stroke: accent },
      },
      ...(ideal ? [{ label: 'ideal', stroke: faint, points: { show: false } }] : []),
    ],
  };
}

/** Points in a plane, sorted by x as uPlot wants them, with the line on which they would lie. */
export function FigureChart(figure: Figure) {
  const host = useRef<HTMLDivElement>(null);
  const { title, points, ideal } = figure;
  useEffect(() => {
    const element = host.current as HTMLDivElement;
    const sorted = points.toSorted(([a], [b]) => a - b);
    const xs = sorted.map(([x]) => x);
    const data: uPlot.AlignedData = [xs, sorted.map(([, y]) => y), ...(ideal ? [xs.map(ideal)] : [])];
    const plot = new uPlot(options(figure, element.clientWidth), data, element);
    const resizing = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: plot.height }),
    );
    resizing.observe(element);
    return () => {
      resizing.disconnect();
      plot.destroy();
    };
  }, [points]);
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={host} class="chart" role="img" aria-label={`${title}: ${points.length} points`} />
    </figure>
  );
}
