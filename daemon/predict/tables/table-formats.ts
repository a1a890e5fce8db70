import { parse, stringify } from 'yaml';
import { HildaError } from '../../core/errors.js';
import { parseBlockKey } from './block-key.js';
import type { TableFormat } from './format-names.js';
import type { LatencyTable, TableEntry } from './latency-table.js';

/** A table with what must stand beside its numbers. */
export interface NamedTable {
  readonly table: LatencyTable;
  /** Microseconds, or what an emulated board counts. */
  readonly unit: 'us' | 'cycles' | 'instructions';
  /** The target's key; null where the file does not tell. */
  readonly target: string | null;
  readonly provenance: 'measured' | 'emulated' | 'imported';
  /** Where an imported table came from. */
  readonly source: string;
}

/** Throws TABLE_INVALID: what a format cannot express is refused, not bent. */
export function formatTable(named: NamedTable, format: TableFormat): string {
  const { table, unit } = named;
  if (format === 'hilda') {
    const { target, provenance, source } = named;
    return stringify({
      hildaTable: 1,
      unit,
      target,
      provenance,
      source,
      entries: Object.fromEntries(
        [...table].map(([key, { count, mean, variance }]) => [
          key,
          { count, mean, std: Math.sqrt(variance) },
        ]),
      ),
    });
  }
  if (unit !== 'us')
    throw new HildaError('TABLE_INVALID', `${format} tables hold milliseconds, and this one counts ${unit}`, {
      hint: 'Export it as --format hilda.',
    });
  if (format === 'fbnet') return formatLayers(table);
  const entries = [...table].map(([key, { count, mean, variance }]) => {
    parseBlockKey(key);
    const spread = format === 'ofa' ? { std: Math.sqrt(variance) / 1000 } : { var: variance / 1e6 };
    return [key, { count, mean: mean / 1000, ...spread }];
  });
  return stringify(Object.fromEntries(entries));
}

/** Throws TABLE_INVALID naming the entry that is wrong. */
export function parseTable(text: string, format: TableFormat, source: string): NamedTable {
  const named = parseEntries(text, format, source);
  if (named.table.size === 0)
    throw new HildaError('TABLE_INVALID', `${source || 'the table'} holds no entries`);
  return named;
}

function parseEntries(text: string, format: TableFormat, source: string): NamedTable {
  const imported = { unit: 'us', target: null, provenance: 'imported', source } as const;
  if (format === 'fbnet') return { ...imported, table: parseLayers(text) };
  const root = parseYaml(text);
  if (format === 'hilda') return parseOwn(root);
  const table = new Map<string, TableEntry>();
  for (const [key, value] of Object.entries(root)) {
    parseBlockKey(key);
    const fields = recordOf(value, key);
    const spread = format === 'ofa' ? 'std' : 'var';
    const foreign = Object.keys(fields).filter((field) => !['count', 'mean', spread].includes(field));
    if (foreign.length > 0)
      throw new HildaError(
        'TABLE_INVALID',
        `${key} has the field ${foreign[0]}, which no ${format} table has`,
        {
          hint: `Fields: count, mean (ms), ${spread}. A table of another unit or format must be converted first.`,
        },
      );
    const ms = numberOf(fields.mean, `${key}: mean`);
    const wide = fields[spread] === undefined ? 0 : numberOf(fields[spread], `${key}: ${spread}`);
    table.set(key, {
      count: fields.count === undefined ? 1 : numberOf(fields.count, `${key}: count`),
      mean: 1000 * ms,
      variance: format === 'ofa' ? (1000 * wide) ** 2 : 1e6 * wide,
    });
  }
  return { ...imported, table };
}

function parseOwn(root: Record<string, unknown>): NamedTable {
  const { hildaTable, unit, target, provenance, source, entries } = root;
  if (hildaTable !== 1)
    throw new HildaError('TABLE_INVALID', 'hildaTable: 1 is missing: this is no table of hilda');
  if (unit !== 'us' && unit !== 'cycles' && unit !== 'instructions')
    throw new HildaError('TABLE_INVALID', `unit ${JSON.stringify(unit)} is none of us, cycles, instructions`);
  if (provenance !== 'measured' && provenance !== 'emulated' && provenance !== 'imported')
    throw new HildaError('TABLE_INVALID', `provenance ${JSON.stringify(provenance)} is unknown`);
  const table = new Map<string, TableEntry>();
  for (const [key, value] of Object.entries(recordOf(entries, 'entries'))) {
    const { count, mean, std } = recordOf(value, key);
    table.set(key, {
      count: numberOf(count, `${key}: count`),
      mean: numberOf(mean, `${key}: mean`),
      variance: numberOf(std, `${key}: std`) ** 2,
    });
  }
  return {
    table,
    unit,
    target: typeof target === 'string' ? target : null,
    provenance,
    source: typeof source === 'string' ? source : '',
  };
}

/** Keys of a layer table are `<layer> <candidate>`. */
function formatLayers(table: LatencyTable): string {
  const cells = [...table].map(([key, { mean }]) => {
    const parts = /^(\d+) (\S+)$/.exec(key);
    if (!parts)
      throw new HildaError('TABLE_INVALID', `${key} names no layer and candidate`, {
        hint: 'Build the table with --keys layers to export it as fbnet.',
      });
    return { layer: Number(parts[1]), candidate: parts[2] as string, mean };
  });
  const candidates = [...new Set(cells.map(({ candidate }) => candidate))].sort();
  const layers = [...new Set(cells.map(({ layer }) => layer))].sort((a, b) => a - b);
  const lines = layers.map((layer) =>
    candidates
      .map(
        (candidate) =>
          cells.find((cell) => cell.layer === layer && cell.candidate === candidate)?.mean ?? '-',
      )
      .join(' '),
  );
  return `${[candidates.join(' '), ...lines].join('\n')}\n`;
}

function parseLayers(text: string): LatencyTable {
  const [head = '', ...lines] = text.trim().split(/\r?\n/);
  const candidates = head.trim().split(/\s+/);
  if (lines.length === 0 || candidates.every((name) => Number.isFinite(Number(name))))
    throw new HildaError(
      'TABLE_INVALID',
      'the first line must name the candidates, each further one is a layer',
    );
  const table = new Map<string, TableEntry>();
  lines.forEach((line, layer) => {
    const cells = line.trim().split(/\s+/);
    if (cells.length !== candidates.length)
      throw new HildaError(
        'TABLE_INVALID',
        `layer ${layer} has ${cells.length} latencies for ${candidates.length} candidates`,
      );
    cells.forEach((cell, i) => {
      // A dash: the layer does not offer the candidate.
      if (cell === '-') return;
      const mean = numberOf(Number(cell), `layer ${layer}, ${candidates[i]}`);
      table.set(`${layer} ${candidates[i]}`, { count: 1, mean, variance: 0 });
    });
  });
  return table;
}

function parseYaml(text: string): Record<string, unknown> {
  let root: unknown;
  try {
    root = parse(text);
  } catch (cause) {
    throw new HildaError('TABLE_INVALID', `the table is not YAML: ${(cause as Error).message}`, { cause });
  }
  return recordOf(root, 'the table');
}

function recordOf(value: unknown, place: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new HildaError('TABLE_INVALID', `${place} is no mapping`);
}

function numberOf(value: unknown, place: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new HildaError('TABLE_INVALID', `${place} is ${JSON.stringify(value)}, not a number of at least 0`);
}
