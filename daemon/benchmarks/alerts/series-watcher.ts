import { type Clock, pause } from '../../core/clock.js';
import { asHildaError, type HildaError } from '../../core/errors.js';
import type { MeasurementId } from '../../core/ids.js';
import { type CostMetric, costsOf } from '../../core/measurement.js';
import type { Change } from '../../predict/changes/contract.js';
import type { ChangeAlert, Measured, NewAlert, Returned } from '../../store/alert-contract.js';
import type { MeasurementRecord, Store } from '../../store/contract.js';
import { Series, seriesKey } from '../history/history.js';

export interface SeriesWatcherOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Alerts were raised, or went back. */
  readonly onAlerts?: () => void;
  readonly onError?: (error: HildaError, place: string) => void;
  /** Networks on devices whose series stay in memory, some 0.2 MB each; 200 by default. */
  readonly mostNetworks?: number;
}

/** Measurements come in bursts: they are looked at together. */
const gatherMs = 1000;
/** After a failure, as of a full disk. */
const againMs = 10_000;
/** Measurements that are looked at in one transaction. */
const atOnce = 100;
/** Series that are not in memory are built of the newest measurements of their network on their device. */
const rebuilt = 250;
/** Series that are not in memory are made anew of stored measurements: 0.4 s of work where a hit takes 2 ms. */
const defaultNetworks = 200;
/** Measurements of each series in memory: a change lies among them. */
const kept = 60;
/** Measurements between two pauses in which the daemon does other work: some 10 ms. */
const pointsAtOnce = 5;

/**
 * Looks at each valid measurement once, in the order of storing, and raises alerts where a series changes its level. Where it
 * is survives a restart: what was stored meanwhile is looked at then.
 */
export class SeriesWatcher {
  readonly #options: SeriesWatcherOptions;
  readonly #life = new AbortController();
  /** By device and network; the last used at the end. */
  readonly #networks = new Map<string, NetworkSeries>();
  #unlisten: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #isDue = false;

  constructor(options: SeriesWatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unlisten = this.#options.store.onEvents(() => this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unlisten?.();
    this.#life.abort();
    await this.#running;
  }

  /** Looks at all measurements that nobody looked at. Answers with the alerts that it raised. */
  async catchUp(): Promise<readonly ChangeAlert[]> {
    const { store } = this.#options;
    const raised: ChangeAlert[] = [];
    let from = await store.watchedUpTo();
    while (!this.#life.signal.aborted) {
      const measured = await store.measuredAfter(from, atOnce);
      const last = measured.at(-1);
      if (!last) break;
      const found = await this.#look(measured.filter(({ valid }) => valid));
      if (this.#life.signal.aborted) break;
      raised.push(...(await store.raiseAlerts({ ...found, watchedUpTo: last.ordinal })));
      if (found.alerts.length + found.returned.length > 0) this.#options.onAlerts?.();
      from = last.ordinal;
    }
    return raised;
  }

  #wake(): void {
    this.#isDue = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    const { clock, onError } = this.#options;
    const { signal } = this.#life;
    while (this.#isDue && !signal.aborted) {
      await clock.sleep(gatherMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      this.#isDue = false;
      try {
        await this.catchUp();
      } catch (thrown) {
        if (signal.aborted) return;
        onError?.(asHildaError(thrown), 'watching the histories of measurements');
        this.#networks.clear();
        this.#isDue = true;
        await clock.sleep(againMs, { signal }).catch(() => {});
      }
    }
  }

  async #look(
    measured: readonly Measured[],
  ): Promise<{ readonly alerts: NewAlert[]; readonly returned: Returned[] }> {
    const { store } = this.#options;
    const found = { alerts: [] as NewAlert[], returned: [] as Returned[] };
    const known = await store.measurementsById(measured.map(({ ordinal }) => measurementId(ordinal)));
    const groups = groupBy([...known.values()], keyOf).map((some) =>
      some.sort((a, b) => ordinalOf(a) - ordinalOf(b)),
    );
    const isSeries = await this.#seriesAmong(groups);
    for (const [i, fresh] of groups.entries()) {
      if (!isSeries[i]) continue;
      const network = await this.#network(fresh);
      for (const one of fresh)
        for (const metric of Object.keys(costsOf(one)) as CostMetric[]) {
          const series = network.series(one, metric);
          const event = series.push(one);
          if (event?.kind === 'changed') found.alerts.push(alertOf(series, event.change));
          if (event?.kind === 'returned') found.returned.push(returnOf(series, event.change));
        }
      await pause();
    }
    return found;
  }

  /** Which of these networks on devices have more than one measurement. Most are measured once: one question is for all. */
  async #seriesAmong(groups: readonly (readonly MeasurementRecord[])[]): Promise<readonly boolean[]> {
    const firsts = groups.flatMap((some) =>
      some.length === 1 && !this.#networks.has(keyOf(some[0] as MeasurementRecord)) ? some : [],
    );
    const earlier = await this.#options.store.wereMeasured(
      firsts.map(({ deviceId, structureHash, id }) => ({ deviceId, structureHash, before: id })),
    );
    const alone = new Set(firsts.filter((_, i) => !earlier[i]));
    return groups.map(([first]) => first !== undefined && !alone.has(first));
  }

  /** All series of a network on a device, before these measurements. */
  async #network(fresh: readonly MeasurementRecord[]): Promise<NetworkSeries> {
    const first = fresh[0] as MeasurementRecord;
    const { deviceId, structureHash, id } = first;
    const key = keyOf(first);
    const known = this.#networks.get(key);
    this.#networks.delete(key);
    if (known) {
      this.#networks.set(key, known);
      return known;
    }
    const filter = { deviceId, structureHash, verdict: 'valid', before: id, limit: rebuilt } as const;
    const before = await this.#options.store.measurements(filter);
    const network = new NetworkSeries();
    for (const [i, one] of before.reverse().entries()) {
      for (const metric of Object.keys(costsOf(one)) as CostMetric[]) network.series(one, metric).push(one);
      if (i % pointsAtOnce === pointsAtOnce - 1) await pause();
    }
    this.#networks.set(key, network);
    const { mostNetworks = defaultNetworks } = this.#options;
    const [oldest] = this.#networks.keys();
    if (this.#networks.size > mostNetworks && oldest !== undefined) this.#networks.delete(oldest);
    return network;
  }
}

/** The series of one network on one device, by what was chosen and by metric. */
class NetworkSeries {
  readonly #series = new Map<string, Series<MeasurementRecord>>();

  series(measurement: MeasurementRecord, metric: CostMetric): Series<MeasurementRecord> {
    const key = `${metric} ${seriesKey(measurement)}`;
    const known = this.#series.get(key);
    if (known) return known;
    const made = new Series<MeasurementRecord>(metric, kept);
    this.#series.set(key, made);
    return made;
  }
}

const measurementId = (ordinal: number): MeasurementId => `m${ordinal}` as MeasurementId;
const ordinalOf = ({ id }: MeasurementRecord): number => Number(id.slice(1));

const keyOf = ({ deviceId, structureHash }: MeasurementRecord): string => `${deviceId} ${structureHash}`;

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()];
}

const betweenOf = (
  series: Series<MeasurementRecord>,
  { sinceInterval: [first, last] }: Change,
): readonly [MeasurementId, MeasurementId] => [series.at(first).id, series.at(last).id];

const nameOf = (one: MeasurementRecord): string => `${one.deviceId} ${seriesKey(one)}`;

function alertOf(series: Series<MeasurementRecord>, change: Change): NewAlert {
  const { firstSince, differences, ratio, ratioCi, cause } = series.describe(change);
  return {
    series: nameOf(firstSince),
    deviceId: firstSince.deviceId,
    structureHash: firstSince.structureHash,
    metric: series.metric,
    since: firstSince.id,
    sinceMs: firstSince.takenAtMs,
    between: betweenOf(series, change),
    foundAt: series.at(change.foundAt).id,
    ratio,
    ratioCi,
    cause,
    differences,
  };
}

const returnOf = (series: Series<MeasurementRecord>, change: Change): Returned => ({
  series: nameOf(series.at(change.since)),
  metric: series.metric,
  ratio: change.ratio,
  between: betweenOf(series, change),
  returnedAt: series.at(change.returnedAt as number).id,
});
