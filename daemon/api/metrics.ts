import type { RequestHandler } from 'express';
import { Gauge, Registry } from 'prom-client';
import { checkScope } from '../access/access.js';
import { isImported } from '../benchmarks/imports/imported-run.js';
import { costMetrics } from '../core/measurement.js';
import { jobStates } from '../store/state-names.js';
import { callerOf } from './caller.js';
import type { DaemonServices } from './services.js';

/** Figures of benchmarks in one answer, at most: a scrape is read whole. */
const mostFigures = 10_000;
/** Runs that are looked through for the latest of each suite. */
const mostRuns = 200;

/** `/metrics` in Prometheus' text format, made anew at each scrape. Needs a token that may read. */
export const serveMetrics =
  (services: DaemonServices): RequestHandler =>
  async (request, response) => {
    checkScope(callerOf(request), 'read');
    const registry = await measured(services);
    response.set('content-type', registry.contentType).set('cache-control', 'no-store');
    response.send(await registry.metrics());
  };

async function measured(services: DaemonServices): Promise<Registry> {
  const registry = new Registry();
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge<Label>({ name, help, labelNames, registers: [registry] });
  const { store, pool, version, clock } = services;

  gauge('hilda_build_info', 'The version that runs, always 1.', ['version']).set({ version }, 1);
  gauge('hilda_time_seconds', "The daemon's clock.").set(clock.nowMs() / 1000);
  gauge('hilda_events_seq', 'Number of the latest event.').set(await store.lastSeq());
  gauge('hilda_measurements', 'Measurements that are stored.').set(await store.measurementCount({}));

  const devices = gauge('hilda_devices', 'Devices by state.', ['state']);
  const present = gauge('hilda_device_present', '1 where an adopted device is here, else 0.', [
    'device',
    'kind',
  ]);
  for (const state of ['sighted', 'adopted', 'ignored', 'quarantined']) devices.set({ state }, 0);
  for (const { id, kind, state } of await store.devices()) {
    devices.inc({ state });
    if (state === 'adopted') present.set({ device: id, kind }, pool.presence(id).present ? 1 : 0);
  }

  const jobs = gauge('hilda_jobs', 'Jobs that are remembered, by state.', ['state']);
  for (const state of jobStates) jobs.set({ state }, await store.jobCount({ states: [state] }));
  gauge('hilda_leases', 'Devices that are held.').set((await store.leases()).length);
  gauge('hilda_campaigns_running', 'Campaigns that run, benchmark runs among them.').set(
    await store.campaignCount({ state: 'running' }),
  );

  const next = gauge('hilda_schedule_next_timestamp_seconds', 'The next firing of a schedule.', ['schedule']);
  const ok = gauge('hilda_schedule_last_ok', '1 where the latest firing is done or at work, else 0.', [
    'schedule',
    'outcome',
  ]);
  for (const { name: schedule, nextMs, last } of await store.schedules()) {
    if (nextMs !== null) next.set({ schedule }, nextMs / 1000);
    if (last) ok.set({ schedule, outcome: last.outcome }, ['done', 'started'].includes(last.outcome) ? 1 : 0);
  }
  await benchmarks(services, gauge);
  return registry;
}

/** The latest run of each suite that is done. */
async function benchmarks(
  { store, benchmarks }: DaemonServices,
  gauge: <Label extends string>(name: string, help: string, labels: Label[]) => Gauge<Label>,
): Promise<void> {
  const labels = ['suite', 'network', 'place', 'metric'] as ('suite' | 'network' | 'place' | 'metric')[];
  const cost = gauge(
    'hilda_benchmark_cost',
    `Of the latest run of a suite: ${costMetrics.join(', ')}.`,
    labels,
  );
  const failures = gauge('hilda_benchmark_failures', 'Measurements that the latest run lacks.', ['suite']);
  const ended = gauge('hilda_benchmark_ended_timestamp_seconds', 'When the latest run ended.', ['suite']);
  const seen = new Set<string>();
  let figures = 0;
  for (const { id, suite, state, endedMs, request } of await store.benchmarkRuns({ limit: mostRuns })) {
    if (isImported({ request }) || state !== 'done' || seen.has(suite) || figures >= mostFigures) continue;
    seen.add(suite);
    const { rows } = await benchmarks.report(id, null);
    failures.set(
      { suite },
      rows.reduce((sum, one) => sum + one.failures.length, 0),
    );
    ended.set({ suite }, (endedMs ?? 0) / 1000);
    for (const { network, place, figures: own } of rows)
      for (const { metric, value } of own)
        if (figures++ < mostFigures) cost.set({ suite, network, place, metric }, value);
  }
}
