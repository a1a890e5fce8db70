import type { Operator, Read, View, Window } from '../lower/operators.js';
import type { Step, Task } from '../plan/schedule.js';
import { addStorage, type Item, isGroup, type Plot, usesOf } from './flow.js';

export interface ImageRowOptions {
  /** Whether a windowed operator may take pointwise operators around it into its walk. */
  readonly integrate: boolean;
  /** Whether the network's input is fetched line by line. */
  readonly fetchInput: boolean;
}

const pointwise = new Set(['linear', 'lookup', 'add', 'mul']);

/**
 * Operator integration and patch-embedding decomposition over images: a windowed operator runs output line by output
 * line over a ring of input lines; what makes those lines (a pointwise expansion, or a fetch of the input) and what
 * consumes its own (a projection, an addition) run with it, so that none of the tensors between is ever whole.
 */
export function walkImageRows(plot: Plot, options: ImageRowOptions): Plot {
  const { items } = plot;
  const { readers, writers } = usesOf(items);
  const groups = new Map<number, Step>();
  const taken = new Set<number>();
  items.forEach((item, at) => {
    if (isGroup(item) || taken.has(at) || item.reads[0]?.access !== 'window') return;
    const source = item.reads[0].view.storage;
    const alone = (readers.get(source) ?? []).length === 1;
    const isInput = source === plot.input;
    const fetched = isInput && alone && options.fetchInput;
    const before = options.integrate && !isInput ? producersOf(at) : [];
    if (!fetched && before.length === 0) return;
    const behind = options.integrate || fetched ? consumersOf(at) : [];
    const all = [...before, at, ...behind];
    groups.set(at, build(plot, item, fetched, before.map(operatorAt), behind.map(operatorAt)));
    for (const i of all) taken.add(i);
  });
  const rebuilt = items.flatMap((item, at): Item[] => {
    const group = groups.get(at);
    if (group && group.kind !== 'single') return [group];
    return taken.has(at) ? [] : [item];
  });
  return { ...plot, items: rebuilt };

  function operatorAt(i: number): Operator {
    return items[i] as Operator;
  }

  /** Pointwise operators whose result this windowed operator alone reads, first one first. */
  function producersOf(at: number): number[] {
    const chain: number[] = [];
    const { window } = operatorAt(at).body as { window: Window };
    const pixels = window.inHeight * window.inWidth;
    let storage = (operatorAt(at).reads[0] as Read).view.storage;
    for (;;) {
      const [made, read] = [writers.get(storage) ?? [], readers.get(storage) ?? []];
      const i = made[0];
      const item = i === undefined ? undefined : items[i];
      if (i === undefined || made.length !== 1 || read.length !== 1 || !item || isGroup(item) || taken.has(i))
        break;
      if (
        !pointwise.has(item.body.kind) ||
        !isPixelwise(item, pixels, window.inWidth) ||
        item.reads.length !== 1
      )
        break;
      chain.unshift(i);
      storage = (item.reads[0] as Read).view.storage;
      // One expansion is what pays: a longer chain would only grow the ring's producers.
      if (chain.length === 2) break;
    }
    return chain;
  }

  /** Pointwise operators that alone read this windowed operator's result, one behind the other. */
  function consumersOf(at: number): number[] {
    const chain: number[] = [];
    const { window } = operatorAt(at).body as { window: Window };
    const pixels = window.outHeight * window.outWidth;
    let { storage } = operatorAt(at).write;
    for (;;) {
      const read = readers.get(storage) ?? [];
      const i = read[0];
      const item = i === undefined ? undefined : items[i];
      if (i === undefined || read.length !== 1 || (writers.get(storage) ?? []).length !== 1) break;
      if (!item || isGroup(item) || taken.has(i) || storage === plot.output) break;
      if (!pointwise.has(item.body.kind) || !isPixelwise(item, pixels, window.outWidth)) break;
      const early = item.reads.every(
        ({ view }) => view.storage === storage || (writers.get(view.storage) ?? []).every((w) => w < at),
      );
      if (!early || (writers.get(item.write.storage) ?? []).length !== 1) break;
      chain.push(i);
      storage = item.write.storage;
    }
    // The group ends where least is written: at a projection or the addition behind it, not at the next expansion.
    const width = (i: number): number => operatorAt(i).write.width;
    const least = Math.min(window.outChannels, ...chain.map(width));
    while (chain.length > 0 && width(chain.at(-1) as number) > least) chain.pop();
    return chain;
  }
}

/** Whether an operator works pixel by pixel on images of so many pixels, in lines of `width`. */
const isPixelwise = ({ reads, write, body }: Operator, pixels: number, width: number): boolean =>
  write.batch === 1 &&
  write.rows === pixels &&
  pixels % width === 0 &&
  (!('constant' in body) ||
    !body.constant ||
    body.constant.rowStride === 0 ||
    body.constant.data.length === pixels * write.width) &&
  reads.every(({ view, access }) => access === 'rows' && view.batch === 1 && view.rows === pixels);

function build(
  plot: Plot,
  windowed: Operator,
  fetched: boolean,
  before: readonly Operator[],
  behind: readonly Operator[],
): Step {
  const { window } = windowed.body as { window: Window };
  const { storages } = plot;
  const source = windowed.reads[0] as Read;
  const ringRows = (window.kernel[0] - 1) * window.dilation[0] + 1;
  const line = window.inWidth * window.inStride;
  const ring = addStorage(storages, `${windowed.name} lines`, ringRows * line);
  const ringView: View = { ...source.view, storage: ring, offset: 0, rows: ringRows };

  const producers: Task[] = fetched
    ? [fetchTask(windowed.name, ring, line, source.view.offset)]
    : oneLine(plot, before, window.inWidth, new Map([[source.view.storage, ring]])).map((task, i, all) =>
        i === all.length - 1 ? { ...task, ringOut: true, writeStep: line } : task,
      );
  const outLine = window.outWidth * window.outStride;
  const last = behind.length === 0;
  const own = windowed.write.storage;
  const lineStorage = last ? own : addStorage(storages, `${windowed.name} line`, outLine);
  const rest = oneLine(plot, behind, window.outWidth, new Map(), new Map([[own, lineStorage]]));
  const write: View = {
    ...windowed.write,
    storage: lineStorage,
    offset: last ? windowed.write.offset : 0,
    rows: 1,
  };
  return {
    kind: 'window',
    rows: window.outHeight,
    producers,
    windowed: {
      operator: { ...windowed, reads: [{ view: ringView, access: 'window' }], write },
      readSteps: [0],
      constantStep: 0,
      writeStep: last ? outLine : 0,
      ringOut: false,
      ringRows,
    },
    rest,
  };
}

function fetchTask(name: string, ring: number, line: number, offset: number): Task {
  const write: View = {
    storage: ring,
    offset: 0,
    batch: 1,
    batchStride: 0,
    rows: 1,
    rowStride: line,
    width: line,
  };
  return {
    operator: { name, body: { kind: 'fetch', offset, step: line }, reads: [], write },
    readSteps: [],
    constantStep: 0,
    writeStep: line,
    ringOut: true,
    ringRows: 0,
  };
}

/**
 * A chain of pointwise operators as tasks of one line of `width` pixels each. What lies between two of them shrinks to a
 * line; the rest moves on by a line an iteration. `place` names storages that take another's place, `local` those that
 * hold one line already.
 */
function oneLine(
  { storages }: Plot,
  chain: readonly Operator[],
  width: number,
  place: ReadonlyMap<number, number>,
  local: Map<number, number> = new Map(),
): Task[] {
  return chain.map((operator, i) => {
    const isLast = i === chain.length - 1;
    const { write, body } = operator;
    const reads = operator.reads.map((read): Read => {
      const storage = local.get(read.view.storage);
      return {
        ...read,
        view: { ...read.view, rows: width, ...(storage !== undefined && { storage, offset: 0 }) },
      };
    });
    const stepped = operator.reads.map(({ view }) => (local.has(view.storage) ? 0 : width * view.rowStride));
    const target = isLast
      ? place.get(write.storage)
      : addStorage(storages, `${operator.name} line`, width * write.width);
    if (!isLast) local.set(write.storage, target as number);
    const constant = 'constant' in body ? body.constant : undefined;
    return {
      operator: {
        ...operator,
        reads,
        write: { ...write, rows: width, ...(target !== undefined && { storage: target, offset: 0 }) },
      },
      readSteps: stepped,
      constantStep: constant ? constant.rowStride * width : 0,
      writeStep: isLast ? width * write.rowStride : 0,
      ringOut: false,
      ringRows: 0,
    };
  });
}
