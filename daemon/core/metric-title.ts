import type { Provenance } from './measurement.js';

/** What a table or a chart shows under a metric's title. */
interface Shown {
  readonly values: Readonly<Record<string, number>>;
  readonly provenance: Provenance;
}

/**
 * A metric's name as people read it above `rows`: without the device where all is one device's, saying so where an emulated
 * board counted, and telling the int8 network's accuracy from the float one's where there are both.
 */
export function metricTitle(metric: string, rows: readonly Shown[], device?: string): string {
  const [name = metric, at] = metric.split('@');
  const where = at === undefined || at === device ? '' : ` on ${at}`;
  const isEmulated = rows.length > 0 && rows.every(({ provenance }) => provenance === 'emulated');
  return (titleOf(name, at, rows) ?? name) + (isEmulated ? (countNotes[name] ?? '') : '') + where;
}

/** Cycles of an emulated board come from a model of its core, instructions from the emulator's own count. */
const countNotes: Readonly<Record<string, string>> = { cycles: ' (modelled)', instructions: ' (emulated)' };

function titleOf(name: string, at: string | undefined, rows: readonly Shown[]): string | undefined {
  if (name === 'latencyUs') return 'latency';
  if (name === 'floatAccuracy') return 'float accuracy';
  if (name !== 'accuracy') return undefined;
  const known = rows.flatMap(({ values }) => Object.keys(values));
  // One of two accuracies is the float network's: the bare one, unless that one has a name of its own.
  if (at !== undefined || known.includes('floatAccuracy')) return 'int8 accuracy';
  return known.some((other) => other.startsWith('accuracy@')) ? 'float accuracy' : 'accuracy';
}
