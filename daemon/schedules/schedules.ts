import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { FiringRecord, NewSchedule, ScheduleRecord, ScheduleStore } from '../store/schedule-contract.js';
import { type Firing, nextFiring, type ScheduledWork, windowAt } from './schedule.js';

export interface SchedulesOptions {
  readonly store: ScheduleStore;
  readonly clock: Clock;
  readonly onError?: (error: HildaError, place: string) => void;
  /** How often the firings are looked at; 15 s by default. */
  readonly lookMs?: number;
}

/** The wall clock may jump: however far off the next firing is, it is looked at as often. */
const defaultLookMs = 15_000;
/** A firing that is later than this was missed: the daemon was down, or the machine slept. */
const lateMs = 5 * 60_000;

/**
 * What happens at fixed times. Schedules and firings are rows: a firing is written before its work begins, so it happens once
 * though the daemon is killed, or the clock jumps back. A firing that comes while the one before is at work is recorded and
 * not run.
 */
export class Schedules {
  readonly #options: SchedulesOptions;
  readonly #works = new Map<string, ScheduledWork>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #life = new AbortController();
  #change = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /** Names the work of a kind; before `start`. */
  define(kind: string, work: ScheduledWork): void {
    this.#works.set(kind, work);
  }

  /** Records what was missed, and begins to wait. */
  async start(): Promise<void> {
    const { store, clock } = this.#options;
    for (const one of await store.schedules()) {
      for (const left of await store.openFirings(one.name)) await this.#goOn(one, left);
      await this.#settleMissed(one, clock.nowMs());
    }
    this.#loop = this.#wait();
  }

  /** Work that is under way is ended by its signal; the loop has ended once this resolves. */
  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    this.#change.abort();
    await this.#loop;
    await Promise.all(this.#running.values());
  }

  /** Throws SCHEDULE_INVALID, STATE_CONFLICT where the name is taken, and what its kind refuses. */
  async add({ name, kind, timing, request }: Omit<NewSchedule, 'nextMs'>): Promise<ScheduleRecord> {
    const { store, clock } = this.#options;
    const nextMs = nextFiring(timing, clock.nowMs());
    await this.#workOf(kind).check?.(request);
    const added = await store.addSchedule({ name, kind, timing, request, nextMs });
    this.#change.abort();
    return added;
  }

  /** Adds one, or changes the one of this name, which keeps its firings. Throws what `add` throws. */
  async put(schedule: Omit<NewSchedule, 'nextMs'>): Promise<ScheduleRecord> {
    const { store, clock } = this.#options;
    const { name, kind, timing, request } = schedule;
    const known = (await store.schedules()).find((one) => one.name === name);
    if (!known) return this.add(schedule);
    const nextMs = nextFiring(timing, clock.nowMs());
    await this.#workOf(kind).check?.(request);
    const changed = await store.setSchedule(name, { state: 'active', nextMs, timing, request });
    this.#change.abort();
    return changed;
  }

  /** By name. */
  list(): Promise<ScheduleRecord[]> {
    return this.#options.store.schedules();
  }

  /** Throws NOT_FOUND. */
  show(name: string): Promise<ScheduleRecord> {
    return this.#options.store.schedule(name);
  }

  /** It fires no more until it is resumed. Throws NOT_FOUND. */
  pause(name: string): Promise<ScheduleRecord> {
    return this.#options.store.setSchedule(name, { state: 'paused', nextMs: null });
  }

  /** Firings of the pause are not made up for. Throws NOT_FOUND. */
  async resume(name: string): Promise<ScheduleRecord> {
    const { store, clock } = this.#options;
    const known = await store.schedule(name);
    if (known.state === 'active') return known;
    const nextMs = nextFiring(known.timing, clock.nowMs());
    const resumed = await store.setSchedule(name, { state: 'active', nextMs });
    this.#change.abort();
    return resumed;
  }

  /** With its firings; work that is under way goes on. Throws NOT_FOUND. */
  remove(name: string): Promise<void> {
    return this.#options.store.removeSchedule(name);
  }

  async #wait(): Promise<void> {
    const { store, clock, onError, lookMs = defaultLookMs } = this.#options;
    while (!this.#life.signal.aborted) {
      this.#change = new AbortController();
      let dueMs = lookMs;
      try {
        const nowMs = clock.nowMs();
        for (const one of await store.schedules()) {
          if (one.nextMs === null) continue;
          // Sooner than was stored: the clock was set back. What fired already does not fire again.
          const nextMs = Math.min(one.nextMs, nextFiring(one.timing, nowMs));
          if (nextMs <= nowMs) {
            await this.#fire(one, nowMs);
            // Looked at again at once: then its next firing counts.
            dueMs = 0;
          } else dueMs = Math.min(dueMs, nextMs - nowMs);
          if (nextMs < one.nextMs) await store.setSchedule(one.name, { state: one.state, nextMs });
        }
      } catch (thrown) {
        onError?.(asHildaError(thrown), 'the schedules');
      }
      const ends = AbortSignal.any([this.#life.signal, this.#change.signal]);
      await clock.sleep(Math.max(1, dueMs), { signal: ends }).catch(() => {});
    }
  }

  /** A firing that a former daemon left at work: gone on with where its kind can, else told as cut. */
  async #goOn(
    { name, kind, request, timing }: ScheduleRecord,
    { plannedMs, detail }: FiringRecord,
  ): Promise<void> {
    const resume = this.#works.get(kind)?.resume;
    if (detail !== null && resume) {
      this.#track({ name, timing }, plannedMs, (firing) => resume(request, detail, firing));
      return;
    }
    const cut = toErrorDocument(new HildaError('INTERRUPTED', 'the daemon ended meanwhile'));
    await this.#options.store.noteFiring(name, plannedMs, 'failed', cut as unknown as Json);
  }

  async #settleMissed(one: ScheduleRecord, nowMs: number): Promise<void> {
    if (one.nextMs === null || nowMs - one.nextMs <= lateMs) return;
    await this.#miss(one, nowMs);
    if (!one.timing.catchUp || this.#running.has(one.name)) return;
    const { nextMs } = await this.#options.store.schedule(one.name);
    await this.#begin(one, nowMs, nextMs);
  }

  /** One row for all that were missed. */
  async #miss(one: ScheduleRecord, nowMs: number): Promise<void> {
    const firstMs = one.nextMs as number;
    let lastMs = firstMs;
    let count = 0;
    for (let at: number = firstMs; at <= nowMs && count < 1000; at = nextFiring(one.timing, at)) {
      lastMs = at;
      count++;
    }
    const detail = { missed: count, firstMs, lastMs };
    const nextMs = nextFiring(one.timing, nowMs);
    await this.#options.store.addFiring(one.name, { plannedMs: firstMs, outcome: 'missed', detail, nextMs });
  }

  async #fire(one: ScheduleRecord, nowMs: number): Promise<void> {
    const { store } = this.#options;
    const plannedMs = one.nextMs as number;
    if (nowMs - plannedMs > lateMs) return this.#miss(one, nowMs);
    // After the planned moment, though the clock may show an earlier one by now.
    const nextMs = nextFiring(one.timing, Math.max(plannedMs, nowMs));
    const skipped = this.#running.has(one.name)
      ? 'overlap'
      : windowAt(one.timing, plannedMs).open
        ? null
        : 'outside-window';
    if (skipped === null) return this.#begin(one, plannedMs, nextMs);
    await store.addFiring(one.name, { plannedMs, outcome: skipped, detail: null, nextMs });
  }

  async #begin(one: ScheduleRecord, plannedMs: number, nextMs: number | null): Promise<void> {
    const started = { plannedMs, outcome: 'started', detail: null, nextMs } as const;
    if (!(await this.#options.store.addFiring(one.name, started))) return;
    this.#track(one, plannedMs, (firing) => this.#workOf(one.kind).run(one.request, firing));
  }

  #track(
    { name, timing }: Pick<ScheduleRecord, 'name' | 'timing'>,
    plannedMs: number,
    run: (firing: Firing) => Promise<Json>,
  ): void {
    const { store, clock, onError } = this.#options;
    const { signal } = this.#life;
    const firing: Firing = {
      schedule: name,
      plannedMs,
      closesMs: windowAt(timing, clock.nowMs()).closesMs,
      signal,
      note: (detail) => store.noteFiring(name, plannedMs, 'started', detail),
    };
    const work = async (): Promise<void> => {
      try {
        await store.noteFiring(name, plannedMs, 'done', await run(firing));
      } catch (thrown) {
        // What the stopping daemon leaves, the next one goes on with or tells.
        if (signal.aborted) return;
        const error = asHildaError(thrown);
        onError?.(error, `the schedule ${name}`);
        await store.noteFiring(name, plannedMs, 'failed', toErrorDocument(error) as unknown as Json);
      }
    };
    const tracked = work()
      .catch((thrown: unknown) => onError?.(asHildaError(thrown), `the schedule ${name}`))
      .finally(() => this.#running.delete(name));
    this.#running.set(name, tracked);
  }

  #workOf(kind: string): ScheduledWork {
    const work = this.#works.get(kind);
    if (work) return work;
    throw new HildaError('SCHEDULE_INVALID', `this version knows no schedules of the kind ${kind}`);
  }
}
