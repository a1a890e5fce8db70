import { printableLine } from '../../core/printable.js';
import { type Layout, painted, plainLayout, type Tone } from './layout.js';
import { padTo, textWidth, wrapTo } from './text-width.js';

export type Field = readonly [label: string, value: string, tone?: Tone | undefined];

/** A line for each label and its value. Values are aligned; long ones go on below, at the same column. */
export function formatFields(fields: readonly Field[], layout: Layout = plainLayout): string {
  const width = Math.max(...fields.map(([label]) => textWidth(label)));
  // Below 20 columns a value is more readable when the terminal breaks it.
  const room = Math.max(20, (layout.columns ?? Number.POSITIVE_INFINITY) - width - 2);
  return fields
    .map(([label, value, tone]) => {
      const [first = '', ...more] = wrapTo(printableLine(value), room).map((line) =>
        painted(line, tone, layout),
      );
      const head = `${painted(padTo(label, width), 'faint', layout)}  ${first}`;
      return [head, ...more.map((line) => `${' '.repeat(width)}  ${line}`)].join('\n');
    })
    .join('\n');
}
