import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import { canonicalJson, type Json } from '../../core/json.js';
import type { CampaignContext, Campaigns, CampaignWork } from '../../jobs/campaigns.js';
import type { Jobs } from '../../jobs/jobs.js';
import { loadProtocol } from '../../measure/protocols.js';
import type { DataReading, TableText } from '../../reading/contract.js';
import { readHere } from '../../reading/read-here.js';
import type {
  BaselineRecord,
  BenchmarkCaseRecord,
  BenchmarkRunRecord,
} from '../../store/benchmark-contract.js';
import type { CampaignRecord } from '../../store/campaign-contract.js';
import type { BlobStore, Store } from '../../store/contract.js';
import type { Side } from '../comparison/beside.js';
import { type Report, reportOf } from '../comparison/report.js';
import { seriesOf } from '../comparison/series.js';
import { figuresOf, isImported, keepImported } from '../imports/imported-run.js';
import { casesOf, type NetworkSources } from '../suites/resolve.js';
import { type Suite, suiteOf } from '../suites/suite.js';
import { runCase } from './run-case.js';

export interface BenchmarkRunsOptions {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'submit' | 'show' | 'cancel' | 'devicesOf'>;
  readonly campaigns: Pick<Campaigns, 'define' | 'take' | 'cancel' | 'finished'>;
  readonly clock: Clock;
  readonly blobs: BlobStore;
  readonly sources: NetworkSources;
  /** Decodes files of figures that others published; this process by default. */
  readonly reading?: Pick<DataReading, 'figures'>;
}

/** Cases of one run that wait or run at a time, each on another place: others find room in the queue. */
const mostAtOnce = 500;

/**
 * Runs of benchmark suites. Each is a campaign: it keeps the suite as it was, goes on after the daemon ended, and its work is jobs
 * like any other.
 */
export class BenchmarkRuns {
  readonly #options: BenchmarkRunsOptions;

  constructor(options: BenchmarkRunsOptions) {
    this.#options = options;
    options.campaigns.define('benchmark', (campaign, context) => this.#work(campaign, context));
  }

  /** Durable once this resolves. Throws what `casesOf` throws. */
  async start(suite: Suite): Promise<BenchmarkRunRecord> {
    const { store, campaigns } = this.#options;
    const cases = await this.#casesOf(suite);
    const spec = JSON.parse(JSON.stringify(suite)) as Json;
    const specHash = sha256Hex(canonicalJson(spec));
    const run = await store.addBenchmarkRun({ suite: suite.suite, spec, specHash, cases });
    campaigns.take(run);
    return run;
  }

  /**
   * Keeps figures that somebody else published, as a run that has ended. `device` names the device of tables that name none.
   * Throws TABLE_INVALID.
   */
  async import(
    suite: string,
    files: readonly TableText[],
    device: string | null,
  ): Promise<BenchmarkRunRecord> {
    const { reading = readHere, store } = this.#options;
    return keepImported(suite, await reading.figures(files, device), store);
  }

  /** Refuses what could not be run now. Throws what `casesOf` throws. */
  async check(suite: Suite): Promise<void> {
    await this.#casesOf(suite);
  }

  /** The run once it has ended, well or not. Throws NOT_FOUND, and INTERRUPTED where the daemon stops. */
  async finished(id: string): Promise<BenchmarkRunRecord> {
    await this.#options.campaigns.finished((await this.show(id)).id);
    return this.show(id);
  }

  /** Throws NOT_FOUND. */
  show(id: string): Promise<BenchmarkRunRecord> {
    return this.#options.store.benchmarkRun(id);
  }

  /** Its jobs end with it; what was measured stays. Throws NOT_FOUND, STATE_CONFLICT. */
  async cancel(id: string): Promise<BenchmarkRunRecord> {
    await this.#options.campaigns.cancel((await this.show(id)).id);
    return this.show(id);
  }

  /** Later runs of the suite are held against this one. Throws NOT_FOUND, and STATE_CONFLICT where it measured nothing. */
  async setBaseline(id: string): Promise<BaselineRecord> {
    const { store } = this.#options;
    const { suite, state, request } = await this.show(id);
    if (isImported({ request }))
      throw new HildaError('STATE_CONFLICT', `the run ${id} is imported and cannot be a baseline`, {
        hint: 'Hold a run beside it: `hilda bench compare RUN IMPORTED`; `--gate-imported` fails where it is slower.',
        details: { run: id },
      });
    const cases = await store.benchmarkCases(id);
    if (state === 'running' || !cases.some((one) => one.state === 'done'))
      throw new HildaError('STATE_CONFLICT', `the run ${id} is ${state} and cannot be a baseline`, {
        hint: 'A baseline is a run that ended, with a valid measurement.',
        details: { run: id, state },
      });
    return store.setBaseline(suite, id);
  }

  /**
   * All that a run says, held against an earlier one: its id, `baseline` for that of the suite, `last` for the suite's run before
   * this one, or null for none. Throws NOT_FOUND where there is no such run, and BASELINE_MISMATCH.
   */
  async report(id: string, earlier: string | null): Promise<Report> {
    const run = await this.show(id);
    const now = await this.#sideOf(run);
    const other =
      earlier === 'baseline'
        ? await this.#baselineOf(run.suite)
        : earlier === 'last'
          ? await this.#lastBefore(run)
          : earlier;
    const before = other === null ? null : await this.#sideOf(await this.show(other));
    return reportOf(now, before);
  }

  #casesOf(suite: Suite): ReturnType<typeof casesOf> {
    const { jobs, blobs, sources } = this.#options;
    return casesOf(suite, { blobs, sources, devicesOf: (one) => jobs.devicesOf(one) });
  }

  async #sideOf(run: BenchmarkRunRecord): Promise<Side> {
    const { store } = this.#options;
    const cases = await store.benchmarkCases(run.id);
    if (isImported(run)) return { run, series: [], figures: figuresOf(cases) };
    const ids = cases.flatMap(({ measurementId }) => measurementId ?? []);
    return { run, series: seriesOf(cases, await store.measurementsById(ids)), figures: null };
  }

  async #lastBefore({ id, suite }: BenchmarkRunRecord): Promise<string> {
    const older = await this.#options.store.benchmarkRuns({ suite, before: id, limit: 100 });
    const last = older.find((one) => one.state === 'done' && !isImported(one));
    if (last) return last.id;
    throw new HildaError('NOT_FOUND', `no run of the suite ${suite} before ${id} is done`);
  }

  async #baselineOf(suite: string): Promise<string> {
    const found = (await this.#options.store.baselines()).find((one) => one.suite === suite);
    if (found) return found.run;
    throw new HildaError('NOT_FOUND', `the suite ${suite} has no baseline`, {
      hint: 'Set one: `hilda bench baseline RUN`.',
    });
  }

  /** What is open of the run, one case after the other on each place. */
  async #work(campaign: CampaignRecord, { signal, cancelled }: CampaignContext): ReturnType<CampaignWork> {
    const { store, jobs, clock } = this.#options;
    const { protocol, attempts, waitMinutes, maxMinutes } = suiteOf(campaign.request);
    const parts = {
      store,
      jobs,
      clock,
      protocol: loadProtocol(protocol),
      attempts,
      deadlineMs: maxMinutes === undefined ? null : Math.round(campaign.createdMs + maxMinutes * 60_000),
      patientUntilUs: clock.monotonicUs() + waitMinutes * 60e6,
      cancelled,
    };
    const lanes = lanesOf(await store.benchmarkCases(campaign.id));
    // One that fails ends the others: the run goes on from its rows.
    const failing = new AbortController();
    const ends = AbortSignal.any([signal, failing.signal]);
    const worker = async (): Promise<void> => {
      for (let lane = lanes.shift(); lane; lane = lanes.shift())
        for (const one of lane) await runCase(one, { ...parts, signal: ends });
    };
    const workers = Array.from({ length: Math.min(mostAtOnce, lanes.length) }, () =>
      worker().catch((thrown: unknown) => {
        failing.abort(thrown);
        throw thrown;
      }),
    );
    await Promise.allSettled(workers);
    signal.throwIfAborted();
    if (failing.signal.aborted) throw failing.signal.reason;
    return { result: null };
  }
}

/** The open cases by place, each in order. */
function lanesOf(cases: readonly BenchmarkCaseRecord[]): BenchmarkCaseRecord[][] {
  const lanes = new Map<string, BenchmarkCaseRecord[]>();
  for (const one of cases) {
    if (one.state !== 'open') continue;
    const lane = lanes.get(one.place);
    if (lane) lane.push(one);
    else lanes.set(one.place, [one]);
  }
  return [...lanes.values()];
}
