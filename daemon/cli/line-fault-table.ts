import type { Outcome } from '../devices/mcu/line-faults/test-line.js';
import { type Layout, plainLayout } from './terminal/layout.js';
import { formatTable } from './terminal/table.js';

/** One line a fault and link: what its measurements said while it lasted and after it, and how long nothing was heard. */
export function lineFaultTable(outcomes: readonly Outcome[], layout: Layout = plainLayout): string {
  const groups = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const key = `${outcome.link} ${outcome.fault}`;
    groups.set(key, [...(groups.get(key) ?? []), outcome]);
  }
  const rows = [...groups.values()];
  const first = (row: Outcome[]): Outcome => row[0] as Outcome;
  return formatTable(
    [
      { title: 'link', value: (row: Outcome[]) => first(row).link },
      { title: 'fault', value: (row) => first(row).fault },
      { title: 'while it lasts', value: (row) => counted(row.map(({ during }) => during)) },
      { title: 'after it', value: (row) => counted(row.flatMap(({ after }) => after ?? [])) || '-' },
      {
        title: 'silent s',
        align: 'right',
        value: (row) => (Math.max(...row.map(({ silentMs }) => silentMs)) / 1000).toFixed(1),
      },
      { title: 'held', value: held, tone: (text) => (text === 'yes' ? 'good' : 'bad') },
    ],
    rows,
    layout,
  );
}

function held(row: readonly Outcome[]): string {
  const wrong = row.filter(({ wrongValid }) => wrongValid).length;
  if (wrong > 0) return `WRONG ${wrong}`;
  const failed = row.filter(({ recovered }) => recovered === false);
  return failed.length > 0 ? `no: ${failed[0]?.reason.slice(0, 80)}` : 'yes';
}

/** `right 3, noisy 1` */
function counted(said: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of said) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].map(([one, count]) => (said.length > 1 ? `${one} ${count}` : one)).join(', ');
}
