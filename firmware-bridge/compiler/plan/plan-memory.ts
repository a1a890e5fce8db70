import type { WeightLayout } from '../layout/format.js';
import { scratchBytes } from '../layout/scratch.js';
import { generatedTileBytes, weightSize } from '../layout/weight-sizes.js';
import { lifetimesOf, positionsOf, storagesOf } from './lifetimes.js';
import { overlapDistance } from './overlap.js';
import { arenaAlignment, liveBound, type Overlap, type PlaceOptions, place, type Request } from './place.js';
import { type Schedule, type Task, tasksOf } from './schedule.js';

export interface MemoryPlan {
  readonly arenaBytes: number;
  /** What must be live at once however the offsets are chosen; the plan is never below. */
  readonly boundBytes: number;
  /** The task at which the most is live. */
  readonly peak: {
    readonly operator: string;
    readonly kind: string;
    readonly live: readonly { readonly name: string; readonly bytes: number }[];
  };
  readonly offsets: ReadonlyMap<number, number>;
  readonly scratch: ReadonlyMap<Task, number>;
  readonly tiles: ReadonlyMap<Task, number>;
}

export interface PlanMemoryOptions extends PlaceOptions {
  readonly layout: WeightLayout;
  /** Whether outputs may overwrite consumed input. */
  readonly overwrite: boolean;
  readonly input: number;
  readonly output: number;
  /** Whether the weights of a task are copied into the arena first; those that are generated always have a tile. */
  needsTile(task: Task): boolean;
}

/** Offsets for every storage, scratch and weight tile of a schedule. */
export function planMemory(schedule: Schedule, options: PlanMemoryOptions): MemoryPlan {
  const lifetimes = lifetimesOf(schedule, options);
  // Placed by rounded sizes; the arena ends with the last byte that something uses.
  const requests: (Request & { readonly name: string; readonly usedBytes: number })[] = [];
  const index = new Map<number, number>();
  const up = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment;
  for (const [id, lifetime] of lifetimes) {
    const storage = schedule.storages.get(id);
    if (!storage) continue;
    index.set(id, requests.length);
    requests.push({ ...lifetime, bytes: up(storage.bytes), usedBytes: storage.bytes, name: storage.name });
  }
  const { byTask, steps: spans, count } = positionsOf(schedule.steps);
  const generatedOutputs = new Map(
    schedule.steps.flatMap((step) => (step.kind === 'generated' ? [[step.task, step.outputs] as const] : [])),
  );
  const scratchAt = new Map<Task, number>();
  const tileAt = new Map<Task, number>();
  for (const [task, at] of byTask) {
    const bytes = scratchBytes(task.operator, options.layout);
    const own = { first: at, last: at };
    if (bytes > 0) {
      scratchAt.set(task, requests.length);
      requests.push({ ...own, bytes: up(bytes), usedBytes: bytes, name: 'scratch' });
    }
    const generated = generatedOutputs.get(task);
    if (generated !== undefined || options.needsTile(task)) {
      tileAt.set(task, requests.length);
      const tile = tileBytes(task, options.layout, generated);
      requests.push({ ...own, bytes: up(tile), usedBytes: tile, name: 'weights' });
    }
  }
  const overlaps = options.overwrite ? overlapsOf(schedule, lifetimes, spans, index, count) : [];
  const placement = place(requests, overlaps, options);
  const bound = liveBound(
    requests.map((request) => ({ ...request, bytes: request.usedBytes })),
    overlaps,
  );
  const peakTask = [...byTask].find(([, at]) => at === Math.max(0, bound.at))?.[0];
  const at = (i: number): number => placement.offsets[i] as number;
  return {
    arenaBytes: requests.reduce((end, { usedBytes }, i) => Math.max(end, at(i) + usedBytes), 0),
    boundBytes: bound.bytes,
    peak: {
      operator: peakTask?.operator.name ?? '',
      kind: peakTask?.operator.body.kind ?? '',
      live: requests
        .filter(({ first, last }) => first <= bound.at && bound.at <= last)
        .map(({ name, bytes }) => ({ name, bytes }))
        .sort((a, b) => b.bytes - a.bytes),
    },
    offsets: new Map([...index].map(([id, i]) => [id, at(i)])),
    scratch: new Map([...scratchAt].map(([task, i]) => [task, at(i)])),
    tiles: new Map([...tileAt].map(([task, i]) => [task, at(i)])),
  };
}

/**
 * Bytes of a task's weights as they lie in a tile; 0 for operators without weights. `generated`: channels of a tile that is
 * generated, which holds its biases and multipliers too.
 */
export function tileBytes({ operator: { body } }: Task, layout: WeightLayout, generated?: number): number {
  if (generated !== undefined && body.kind === 'linear')
    return generatedTileBytes(generated, body.constants.depth, layout);
  if (body.kind === 'linear' || body.kind === 'conv') return weightSize(body.constants, 'packed', layout);
  return body.kind === 'depthwise' ? weightSize(body.constants, 'channels', layout) : 0;
}

function overlapsOf(
  { steps }: Schedule,
  lifetimes: ReturnType<typeof lifetimesOf>,
  spans: ReturnType<typeof positionsOf>['steps'],
  index: ReadonlyMap<number, number>,
  count: number,
): Overlap[] {
  const found: Overlap[] = [];
  steps.forEach((step, i) => {
    const span = spans[i] as { first: number; last: number };
    const touched = new Set(tasksOf(step).flatMap(storagesOf));
    const written = new Set(tasksOf(step).map((task) => task.operator.write.storage));
    for (const to of written) {
      const born = lifetimes.get(to);
      if (!born || born.first !== span.first || born.last <= span.last) continue;
      for (const from of touched) {
        const dying = lifetimes.get(from);
        if (from === to || !dying || dying.last !== span.last || dying.first >= span.first) continue;
        if (dying.last >= count) continue;
        const distance = overlapDistance(step, from, to);
        const [a, b] = [index.get(from), index.get(to)];
        if (distance !== undefined && a !== undefined && b !== undefined)
          found.push({ from: a, to: b, distance });
      }
    }
  });
  return found;
}
