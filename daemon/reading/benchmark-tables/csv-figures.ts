import { parse } from 'csv-parse/sync';
import { HildaError } from '../../core/errors.js';
import { microjoulesIn, positiveOf, shareOf } from './cells.js';
import { type Column, columnOf } from './columns.js';
import { Faults } from './faults.js';
import type { TableRow } from './imported-row.js';

interface Cell {
  readonly header: string;
  readonly text: string;
}
type Kind = Column['kind'];
type Cells = ReadonlyMap<Kind, Cell>;

interface Layout {
  readonly headers: readonly string[];
  readonly columns: readonly Column[];
}

const mostText = 200;
/** How far a latency and a throughput of one row may be apart: what rounding to three digits explains. */
const rounding = 0.006;

/**
 * The figures of a table: RFC 4180, separated by commas, semicolons or tabulators. Rows count as a spreadsheet counts them, empty
 * ones too. Throws TABLE_INVALID with the rows that are wrong.
 */
export function csvFigures(text: string, file: string): TableRow[] {
  const [header = [], ...records] = recordsOf(text, file);
  const faults = new Faults(file);
  const layout = layoutOf(header, faults);
  faults.check();
  const rows = records.flatMap((record, i) => {
    const row = i + 2;
    if (record.every((cell) => cell.trim() === '')) return [];
    if (record.length !== layout.headers.length) {
      const hint =
        record.length > layout.headers.length ? '; is there a number with separators of thousands?' : '';
      faults.add(row, `${record.length} cells below ${layout.headers.length} headers${hint}`);
      return [];
    }
    return figureOf(layout, record, row, faults) ?? [];
  });
  if (rows.length === 0 && !faults.any) faults.add(2, 'there is no row below the header');
  faults.check();
  return rows;
}

function recordsOf(text: string, file: string): string[][] {
  const [first = ''] = text.split(/\r?\n/, 1);
  const delimiter = first.includes('\t') ? '\t' : first.includes(';') && !first.includes(',') ? ';' : ',';
  try {
    return parse(text, { bom: true, delimiter, relax_column_count: true }) as string[][];
  } catch (cause) {
    throw new HildaError('TABLE_INVALID', `${file} is not CSV: ${(cause as Error).message}`, { cause });
  }
}

function layoutOf(given: readonly string[], faults: Faults): Layout {
  const headers = given.map((header) => header.trim());
  const columns = headers.map((header): Column => {
    const column = columnOf(header);
    if (!column) faults.add(1, `there is no column ${JSON.stringify(header.slice(0, 60))} in such a table`);
    return column ?? { kind: 'ignored' };
  });
  const find = (kind: Kind): Column | undefined => columns.find((column) => column.kind === kind);
  for (const [i, { kind }] of columns.entries()) {
    const earlier = columns.findIndex((column) => column.kind === kind);
    if (kind !== 'ignored' && earlier < i)
      faults.add(1, `the columns ${headers[earlier]} and ${headers[i]} say the same`);
  }
  for (const [i, column] of columns.entries()) {
    if (column.kind === 'latency' && column.usPerUnit === null)
      faults.add(1, `${headers[i]} has no unit: write latency_us or latency_ms`);
    if (column.kind === 'energy' && column.ujPerUnit === null && !find('energyUnit'))
      faults.add(1, `${headers[i]} has no unit: write energy_uj or energy_mj`);
  }
  if (!find('network')) faults.add(1, 'there is no column network');
  if (!find('latency') && !find('throughput'))
    faults.add(1, 'there is no column latency with its unit, as latency_us or latency_ms');
  if (!find('latency') && (find('low') || find('half')))
    faults.add(1, 'an interval is one of a latency, and there is no column latency');
  if (!find('low') !== !find('high')) faults.add(1, 'an interval has two columns, low and high');
  if (find('low') && find('half')) faults.add(1, 'an interval is written as low and high, or as ±');
  return { headers, columns };
}

function figureOf(
  { headers, columns }: Layout,
  record: readonly string[],
  row: number,
  faults: Faults,
): TableRow | undefined {
  const cells: Cells = new Map(
    columns.map(({ kind }, i) => [
      kind,
      { header: headers[i] as string, text: (record[i] as string).trim() },
    ]),
  );
  const network = textOf(cells, 'network', row, faults);
  if (network === null) return faults.add(row, 'network is empty');
  if (cells.get('device')?.text === '') faults.add(row, `${cells.get('device')?.header} is empty`);
  const [device, organisation] = [
    textOf(cells, 'device', row, faults),
    textOf(cells, 'organisation', row, faults),
  ];
  const timed = latencyOf(columns, cells, row, faults);
  if (!timed) return;
  return {
    network,
    device: device !== null && organisation !== null ? `${organisation}/${device}` : device,
    runtime: textOf(cells, 'runtime', row, faults),
    precision: textOf(cells, 'precision', row, faults),
    date: textOf(cells, 'date', row, faults),
    ...timed,
    energyUj: energyOf(columns, cells, row, faults),
    accuracy: optional(cells, 'accuracy', ({ header, text }) =>
      shareOf(text, header, percentOf(columns), row, faults),
    ),
    auc: optional(cells, 'auc', ({ header, text }) => shareOf(text, header, false, row, faults)),
    row,
  };
}

const percentOf = (columns: readonly Column[]): boolean =>
  columns.some((column) => column.kind === 'accuracy' && column.percent);

const absent = /^(|-|n\/a|na|none)$/i;
/** Any other text may be a name, `none` among them. */
const named: readonly Kind[] = ['network', 'device'];

function optional<T>(cells: Cells, kind: Kind, read: (cell: Cell) => T | undefined): T | null {
  const cell = cells.get(kind);
  if (named.includes(kind) && cell?.text !== '') return cell ? (read(cell) ?? null) : null;
  return !cell || absent.test(cell.text) ? null : (read(cell) ?? null);
}

const textOf = (cells: Cells, kind: Kind, row: number, faults: Faults): string | null =>
  optional(cells, kind, ({ header, text }) =>
    text.length <= mostText ? text : faults.add(row, `${header} is longer than ${mostText} characters`),
  );

const scaleOf = (columns: readonly Column[], kind: Kind): number | null => {
  const column = columns.find((one) => one.kind === kind);
  return column && 'usPerUnit' in column ? column.usPerUnit : null;
};

type Timed = Pick<TableRow, 'latencyUs' | 'interval'>;

/** Of the latency, the throughput, or both, which then agree. */
function latencyOf(columns: readonly Column[], cells: Cells, row: number, faults: Faults): Timed | undefined {
  const [rate, cell] = [cells.get('throughput'), cells.get('latency')];
  const perSecond =
    rate && (cell === undefined || rate.text !== '')
      ? positiveOf(rate.text, rate.header, row, faults)
      : undefined;
  if (!cell) return perSecond === undefined ? undefined : { latencyUs: 1e6 / perSecond, interval: null };
  const usPerUnit = scaleOf(columns, 'latency') as number;
  const [middle = '', ...halves] = cell.text.split(/\s*(?:±|\+\/-|\+-)\s*/);
  const value = positiveOf(middle, cell.header, row, faults);
  if (value === undefined) return;
  const latencyUs = value * usPerUnit;
  if (perSecond !== undefined && Math.abs((latencyUs * perSecond) / 1e6 - 1) > rounding)
    return faults.add(row, `${cell.header} and ${rate?.header} disagree: ${cell.text} and ${rate?.text}`);
  const ends = endsOf(columns, cells, halves, row, faults);
  if (ends === null) return { latencyUs, interval: null };
  if (!ends) return;
  const [low, high] = 'half' in ends ? [latencyUs - ends.half, latencyUs + ends.half] : [ends.low, ends.high];
  if (low > 0 && low <= latencyUs && latencyUs <= high) return { latencyUs, interval: [low, high] };
  return faults.add(row, `the interval does not hold ${cell.header} ${middle}, or reaches 0`);
}

type Ends = { readonly half: number } | { readonly low: number; readonly high: number };

/** In microseconds; null where the row tells no interval. */
function endsOf(
  columns: readonly Column[],
  cells: Cells,
  halves: readonly string[],
  row: number,
  faults: Faults,
): Ends | null | undefined {
  const unit = scaleOf(columns, 'latency') as number;
  const read = (kind: 'low' | 'high' | 'half'): number | null | undefined => {
    const cell = cells.get(kind);
    if (!cell || absent.test(cell.text)) return null;
    const value = positiveOf(cell.text, cell.header, row, faults);
    return value === undefined ? undefined : value * (scaleOf(columns, kind) ?? unit);
  };
  const [low, high, half] = [read('low'), read('high'), read('half')];
  if (low === undefined || high === undefined || half === undefined) return;
  const written = halves.length > 0;
  if (halves.length > 1 || (written && (low !== null || high !== null || half !== null)))
    return faults.add(row, 'the interval is written twice');
  if (written) {
    const value = positiveOf(halves[0] as string, 'the part behind ±', row, faults);
    return value === undefined ? undefined : { half: value * unit };
  }
  if (half !== null) return { half };
  if (low !== null && high !== null) return { low, high };
  return low === null && high === null ? null : faults.add(row, 'an interval has two ends, and one is empty');
}

function energyOf(columns: readonly Column[], cells: Cells, row: number, faults: Faults): number | null {
  const own = columns.find((column) => column.kind === 'energy');
  return optional(cells, 'energy', ({ header, text }) => {
    const value = positiveOf(text, header, row, faults);
    const unit = cells.get('energyUnit')?.text ?? '';
    const named = microjoulesIn.get(
      unit
        .normalize('NFKC')
        .toLowerCase()
        .replace(/\s*\/\s*inf(erence)?\.?$/, ''),
    );
    const scale = own && 'ujPerUnit' in own ? (own.ujPerUnit ?? named) : undefined;
    if (value === undefined) return;
    if (scale === undefined) return faults.add(row, `${header} has the unit ${JSON.stringify(unit)}`);
    return value * scale;
  });
}
