import { z } from 'zod';
import { historyOf, seriesKey } from '../../benchmarks/history/history.js';
import { type CostMetric, costMetrics, costsOf } from '../../core/measurement.js';
import type { MeasurementRecord, Store } from '../../store/contract.js';
import { type HistoryView, historySchema } from '../history-schemas.js';
import { pageLimit } from '../paging.js';
import { defineRoute } from '../route.js';
import { asMeasurementId } from '../services.js';

export const historyRoutes = [
  defineRoute({
    method: 'get',
    path: '/measurements/{id}/history',
    summary:
      "The series that a measurement belongs to: its network's on its device, with changes of the level",
    query: z.object({
      metric: z.enum(costMetrics).default('latencyUs'),
      limit: pageLimit(400).describe('The newest measurements that are looked at.'),
    }),
    answer: { status: 200, schema: historySchema },
    handle: async ({ services: { store }, params, query: { metric, limit } }) => {
      const asked = await store.measurement(asMeasurementId(params.id));
      const { deviceId, structureHash } = asked;
      const newest = await store.measurements({ deviceId, structureHash, verdict: 'valid', limit });
      const series = newest.filter((one) => seriesKey(one) === seriesKey(asked)).reverse();
      const key = JSON.stringify([deviceId, metric, limit, series.length, series[0]?.id, seriesKey(asked)]);
      const newestId = series.at(-1)?.id ?? '';
      const views = viewsOf(store);
      const kept = views.get(key);
      if (kept?.newestId === newestId) return kept.view;
      const view = viewHistory(asked, metric, series);
      views.delete(key);
      views.set(key, { newestId, view });
      const [oldest] = views.keys();
      if (views.size > mostViews && oldest !== undefined) views.delete(oldest);
      return view;
    },
  }),
];

interface KnownView {
  readonly newestId: string;
  readonly view: HistoryView;
}

/** Measurements never change: a series that no other joined has the same changes, which take 0.1 s to find in 250 points. */
const mostViews = 200;
const known = new WeakMap<Store, Map<string, KnownView>>();

function viewsOf(store: Store): Map<string, KnownView> {
  const views = known.get(store) ?? new Map<string, KnownView>();
  known.set(store, views);
  return views;
}

function viewHistory(
  { deviceId, structureHash }: MeasurementRecord,
  metric: CostMetric,
  series: readonly MeasurementRecord[],
): HistoryView {
  const { points, changes, suspicion } = historyOf(series, metric);
  const idAt = (position: number): string => (points[position] as MeasurementRecord).id;
  return {
    deviceId,
    structureHash,
    metric,
    points: points.map((point) => ({
      measurement: point.id,
      takenAtMs: point.takenAtMs,
      value: costsOf(point)[metric] as number,
      ci: intervalOf(point, metric),
    })),
    changes: changes.map(
      ({ since, sinceInterval: [first, last], foundAt, ratio, ratioCi, cause, ...rest }) => ({
        since: idAt(since),
        sinceMs: rest.firstSince.takenAtMs,
        between: [idAt(first), idAt(last)],
        foundAt: idAt(foundAt),
        ratio,
        ratioCi,
        cause,
        returnedAt: rest.returnedAt === undefined ? null : idAt(rest.returnedAt),
        differences: rest.differences.map((one) => ({ ...one })),
      }),
    ),
    suspicion: suspicion && { ...suspicion, since: idAt(suspicion.since) },
  };
}

function intervalOf(
  { latency, counts }: MeasurementRecord,
  metric: CostMetric,
): readonly [number, number] | null {
  if (metric === 'latencyUs') return latency?.normalisedCiUs ?? null;
  return counts?.unit === metric ? (counts.totalCi ?? null) : null;
}
