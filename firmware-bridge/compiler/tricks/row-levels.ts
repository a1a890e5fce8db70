import type { Operator, Read } from '../lower/operators.js';
import { addStorage, type Item, isGroup, type Plot, readStorages, usesOf, writtenStorages } from './flow.js';

/** Operators that work row by row and may run in blocks of rows. */
const rowKinds = new Set(['linear', 'lookup', 'softmax', 'layerNorm', 'add', 'mul', 'matmul', 'copy']);
/** Cheap enough to be computed twice rather than kept. */
const cheapKinds = new Set(['layerNorm', 'lookup']);

/** Rows an operator walks, of one batch; undefined where it cannot run in blocks. */
export function blockableRows(item: Item): number | undefined {
  if (isGroup(item) || !rowKinds.has(item.body.kind)) return undefined;
  const { rows } = item.write;
  const aligned = item.reads.every(
    ({ view, access }) => access === 'all' || (view.rows === rows && view.rowStride > 0),
  );
  return rows > 1 && aligned ? rows : undefined;
}

/**
 * Views of a storage that one operator fills in batches (scores, head by head) and another reads as one run of rows get
 * the same form, so that both can walk it in blocks of rows.
 */
function alignBatches(items: readonly Item[]): Item[] {
  const filled = new Map<number, Operator['write']>();
  for (const item of items)
    if (!isGroup(item) && item.write.batch > 1) filled.set(item.write.storage, item.write);
  return items.map((item) => {
    if (isGroup(item) || item.reads.length !== 1 || item.write.batch > 1) return item;
    const read = item.reads[0] as Read;
    const like = filled.get(read.view.storage);
    const { view } = read;
    const outermost = like && like.batchStride === like.rows * like.rowStride;
    if (
      !like ||
      !outermost ||
      view.batch > 1 ||
      view.rows !== like.batch * like.rows ||
      view.offset !== like.offset
    )
      return item;
    const batches = (of: typeof view): typeof view => ({
      ...of,
      batch: like.batch,
      rows: like.rows,
      batchStride: like.rows * of.rowStride,
    });
    const changed = { ...item, reads: [{ ...read, view: batches(view) }], write: batches(item.write) };
    filled.set(item.write.storage, changed.write);
    return changed;
  });
}

/**
 * Orders operators by level: one that needs all rows of a result stands a level above it. What is needed late is
 * computed late (queries beside their scores, not beside the keys), and a cheap operator that two levels read is
 * computed on each, where its own input is alive anyway. Results do not change.
 */
export function orderByLevel(plot: Plot): Plot {
  const items = [...alignBatches(plot.items)];
  const level = items.map(() => 0);
  let { readers, writers } = usesOf(items);
  items.forEach((item, i) => {
    for (const storage of readStorages(item))
      for (const writer of writers.get(storage) ?? []) {
        if (writer >= i) continue;
        const whole = needsWhole(item, storage) || blockableRows(items[writer] as Item) === undefined;
        level[i] = Math.max(level[i] as number, (level[writer] as number) + (whole ? 1 : 0));
      }
  });
  // From the back: an operator sinks to the lowest level that reads it, if all its readers go row by row.
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i] as Item;
    if (blockableRows(item) === undefined) continue;
    const storage = (item as Operator).write.storage;
    const after = (readers.get(storage) ?? []).filter((r) => r > i);
    const byRows = after.every((r) => !needsWhole(items[r] as Item, storage));
    if (after.length === 0 || !byRows || storage === plot.output || (writers.get(storage) ?? []).length !== 1)
      continue;
    level[i] = Math.max(level[i] as number, Math.min(...after.map((r) => level[r] as number)));
  }
  // Copies of cheap operators for readers on higher levels.
  const storages = plot.storages;
  const count = items.length;
  for (let i = 0; i < count; i++) {
    const item = items[i] as Item;
    if (isGroup(item) || !cheapKinds.has(item.body.kind) || blockableRows(item) === undefined) continue;
    const storage = item.write.storage;
    const input = item.reads[0]?.view.storage as number;
    const single = (readers.get(storage) ?? []).filter((r) => !isGroup(items[r] as Item));
    const later = new Set(single.map((r) => level[r] as number).filter((l) => l > (level[i] as number)));
    for (const l of later) {
      const alive = (readers.get(input) ?? []).some((r) => r !== i && (level[r] as number) >= l);
      if (!alive) continue;
      const copy = addStorage(storages, storages.get(storage)?.name ?? '', storages.get(storage)?.bytes ?? 0);
      for (const r of single) {
        if (level[r] !== l) continue;
        items[r] = rereading(items[r] as Operator, storage, copy);
      }
      items.push({ ...item, write: { ...item.write, storage: copy } });
      level.push(l);
    }
  }
  ({ readers, writers } = usesOf(items));
  return { ...plot, items: inOrder(items, level, writers) };
}

const needsWhole = (item: Item, storage: number): boolean =>
  blockableRows(item) === undefined ||
  (item as Operator).reads.some((read) => read.view.storage === storage && read.access === 'all');

const rereading = (operator: Operator, from: number, to: number): Operator => ({
  ...operator,
  reads: operator.reads.map((read) =>
    read.view.storage === from ? { ...read, view: { ...read.view, storage: to } } : read,
  ),
});

/** By level, then as they came; a copy stands right before its first reader. */
function inOrder(
  items: readonly Item[],
  level: readonly number[],
  writers: ReadonlyMap<number, readonly number[]>,
): Item[] {
  const order = items.map((_, i) => i).sort((a, b) => (level[a] as number) - (level[b] as number) || a - b);
  const done = new Set<number>();
  const result: Item[] = [];
  const visit = (i: number): void => {
    if (done.has(i)) return;
    done.add(i);
    for (const storage of readStorages(items[i] as Item))
      for (const writer of writers.get(storage) ?? [])
        if (writer !== i && !writtenStorages(items[i] as Item).includes(storage)) visit(writer);
    result.push(items[i] as Item);
  };
  for (const i of order) visit(i);
  return result;
}
