import { maxMembers } from '../layout/format.js';
import type { Operator, Read, View } from '../lower/operators.js';
import { perBatch, type Step, type Task } from '../plan/schedule.js';
import { addStorage, type Item, isGroup, type Plot, steppedTask, usesOf, writtenStorages } from './flow.js';
import { blockableRows, orderByLevel } from './row-levels.js';

export interface RowBlockOptions {
  /** Rows a block. */
  readonly blockRows: number;
  /** Whether chains of row operators run block by block. */
  readonly integrate: boolean;
  /** Whether attention's products do. */
  readonly attention: boolean;
}

/**
 * Operator integration over tokens and attention in row blocks: stretches of the program that work row by row run as
 * loops over blocks of rows, so that what lies between their operators holds one block. Where to cut is chosen by
 * dynamic programming for the least live bytes at the worst place.
 */
export function walkRowBlocks(given: Plot, options: RowBlockOptions): Plot {
  if (!options.integrate && !options.attention) return given;
  const plot = orderByLevel(given);
  const { items } = plot;
  const rebuilt: Item[] = [];
  for (let from = 0; from < items.length; ) {
    const rows = rowsFor(items[from] as Item, options);
    let to = from + 1;
    while (rows !== undefined && to < items.length && rowsFor(items[to] as Item, options) === rows) to++;
    if (rows === undefined || rows <= options.blockRows) rebuilt.push(...items.slice(from, to));
    else
      for (const [start, end] of cut(plot, from, to, rows, options.blockRows)) {
        if (end - start === 1) rebuilt.push(items[start] as Item);
        else rebuilt.push(loopOf(plot, start, end, rows, options.blockRows));
      }
    from = to;
  }
  return { ...plot, items: rebuilt };
}

function rowsFor(item: Item, { integrate, attention }: RowBlockOptions): number | undefined {
  const isAttention = !isGroup(item) && (item.body.kind === 'matmul' || item.body.kind === 'softmax');
  return (isAttention ? attention : integrate) ? blockableRows(item) : undefined;
}

const members = (item: Item): number => (isGroup(item) ? 0 : Math.max(1, item.write.batch));

/** Where the stretch [from, to) is cut into loops: [start, end) pairs, one item alone is no loop. */
function cut(plot: Plot, from: number, to: number, rows: number, blockRows: number): [number, number][] {
  const uses = usesOf(plot.items);
  const best: { peak: number; sum: number; start: number }[] = [{ peak: 0, sum: 0, start: from }];
  for (let end = from + 1; end <= to; end++) {
    let choice = { peak: Number.POSITIVE_INFINITY, sum: Number.POSITIVE_INFINITY, start: end - 1 };
    let count = 0;
    for (let start = end - 1; start >= from; start--) {
      count += members(plot.items[start] as Item);
      if (count > maxMembers || !mayRunTogether(plot.items, start, end)) break;
      const bytes = liveBytes(plot, uses, start, end, blockRows / rows);
      const before = best[start - from] as { peak: number; sum: number };
      const peak = Math.max(before.peak, bytes);
      // Among equal peaks: the least memory over all operators.
      const sum = before.sum + bytes * (end - start);
      if (peak < choice.peak || (peak === choice.peak && sum < choice.sum)) choice = { peak, sum, start };
    }
    best.push(choice);
  }
  const pieces: [number, number][] = [];
  for (let end = to; end > from; ) {
    const { start } = best[end - from] as { start: number };
    pieces.unshift([start, end]);
    end = start;
  }
  return pieces;
}

/** No operator may need all rows of what the same loop makes. */
function mayRunTogether(items: readonly Item[], start: number, end: number): boolean {
  const written = new Set(items.slice(start, end).flatMap(writtenStorages));
  return !(items.slice(start, end) as Operator[]).some((operator) =>
    operator.reads.some((read) => read.access === 'all' && written.has(read.view.storage)),
  );
}

/** Bytes live while [start, end) runs as a loop: what passes through, what comes in and goes out, a block of the rest. */
function liveBytes(
  { items, storages, output, input }: Plot,
  { readers, writers }: ReturnType<typeof usesOf>,
  start: number,
  end: number,
  share: number,
): number {
  const readWhole = new Set(
    (items.slice(start, end) as Operator[]).flatMap((operator) =>
      operator.reads.filter((read) => read.access === 'all').map((read) => read.view.storage),
    ),
  );
  let whole = 0;
  const dying: number[] = [];
  const born: number[] = [];
  const inner: { readonly first: number; readonly last: number; readonly bytes: number }[] = [];
  for (const [id, { bytes }] of storages) {
    const [made, read] = [writers.get(id) ?? [], readers.get(id) ?? []];
    if (made.length === 0 && id !== input) continue;
    const first = id === input ? -1 : (made[0] as number);
    const last = id === output ? Number.POSITIVE_INFINITY : (read.at(-1) ?? first);
    if (last < start || first >= end) continue;
    if (first >= start && last < end) {
      inner.push({ first, last, bytes: bytes * share });
      continue;
    }
    whole += bytes;
    if (first < start && last < end && !readWhole.has(id)) dying.push(bytes);
    if (first >= start && last >= end) born.push(bytes);
  }
  // A result may take the place of an input that dies here.
  for (const bytes of born.sort((a, b) => b - a))
    whole -= Math.min(bytes, dying.sort((a, b) => b - a).shift() ?? 0);
  let most = 0;
  for (let at = start; at < end; at++)
    most = Math.max(
      most,
      inner.reduce((sum, { first, last, bytes }) => sum + (first <= at && at <= last ? bytes : 0), 0),
    );
  return whole + most;
}

function loopOf(
  plot: Plot,
  start: number,
  end: number,
  rows: number,
  blockRows: number,
): Exclude<Step, { kind: 'single' }> {
  const { items, storages, output } = plot;
  const uses = usesOf(items);
  const inside = items.slice(start, end) as Operator[];
  const block = new Map<number, number>();
  for (const id of new Set(inside.map((operator) => operator.write.storage))) {
    const within = [...(uses.readers.get(id) ?? []), ...(uses.writers.get(id) ?? [])].every(
      (i) => i >= start && i < end,
    );
    if (!within || id === output) continue;
    const storage = storages.get(id) as { name: string; bytes: number };
    block.set(
      id,
      addStorage(storages, `${storage.name} block`, Math.ceil((storage.bytes * blockRows) / rows)),
    );
  }
  const shrink = (view: View): View => {
    const storage = block.get(view.storage);
    // Batches one behind the other move closer; those side by side in a row stay where they are.
    const outermost = view.batch > 1 && view.batchStride >= view.rows * view.rowStride;
    if (storage === undefined) return { ...view, rows: blockRows };
    return {
      ...view,
      storage,
      rows: blockRows,
      ...(outermost && { batchStride: blockRows * view.rowStride }),
    };
  };
  const tasks = inside.flatMap((operator): Task[] => {
    const shrunk: Operator = {
      ...operator,
      reads: operator.reads.map(
        (read): Read => (read.access === 'all' ? read : { ...read, view: shrink(read.view) }),
      ),
      write: shrink(operator.write),
    };
    const isWhole = operator.reads.map((read) => read.access === 'all');
    const constant = 'constant' in operator.body ? operator.body.constant : undefined;
    return perBatch(shrunk).map((part) =>
      steppedTask(
        part,
        (view, i) => {
          const inBlock = [...block.values()].includes(view.storage);
          return inBlock || (i !== 'write' && isWhole[i]) ? 0 : blockRows * view.rowStride;
        },
        constant ? constant.rowStride * blockRows : 0,
      ),
    );
  });
  return { kind: 'loop', iterations: Math.ceil(rows / blockRows), partialRows: rows % blockRows, tasks };
}
