import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Access } from '../access/access.js';
import { StoredJoinKeys } from '../access/join-keys.js';
import { announceToken, newLocalToken } from '../access/local-token.js';
import { ApiServer } from '../api/api-server.js';
import type { AuditEntry } from '../api/caller.js';
import { FrontDoor } from '../api/front-door.js';
import { JoinServer } from '../api/join-server.js';
import { Readiness } from '../api/readiness.js';
import type { DaemonServices } from '../api/services.js';
import { Digests } from '../benchmarks/alerts/digests.js';
import { SeriesWatcher } from '../benchmarks/alerts/series-watcher.js';
import { SuiteAlerts } from '../benchmarks/alerts/suite-alerts.js';
import { Webhooks } from '../benchmarks/alerts/webhooks.js';
import { BenchmarkRuns } from '../benchmarks/runs/benchmark-runs.js';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { within } from '../core/within.js';
import { AdbServer } from '../devices/adb/adb-server.js';
import { AgentHub } from '../devices/agent/hub.js';
import { PageHub } from '../devices/browser/hub.js';
import type { Driver } from '../devices/contract.js';
import { thisMachine } from '../devices/own-machine.js';
import { openDrivers } from '../devices/registry.js';
import { evaluatorKinds } from '../evaluate/registry.js';
import { faultyClock } from '../faults/edges/clock.js';
import { useSwitchboard } from '../faults/present.js';
import type { Switchboard } from '../faults/switchboard.js';
import { DevicePool } from '../fleet/device-pool.js';
import { AvailabilityLog } from '../fleet/health/availability.js';
import { Retention } from '../fleet/retention.js';
import { Campaigns } from '../jobs/campaigns.js';
import { Comparisons } from '../jobs/comparisons.js';
import { HealthChecks } from '../jobs/health-checks.js';
import { Jobs } from '../jobs/jobs.js';
import { PersonalLeases } from '../jobs/personal-leases.js';
import type { Graph } from '../network/graph.js';
import { loadPlugins } from '../plugins/load-plugins.js';
import type { PluginSettings } from '../plugins/read-settings.js';
import { PredictorService } from '../predictors/predictor-service.js';
import { ProbeSchedules } from '../predictors/probe-schedules.js';
import { DataReader } from '../reading/data-reader.js';
import { ModelReader } from '../reading/model-reader.js';
import { Rollouts } from '../rollouts/rollouts.js';
import { Schedules } from '../schedules/schedules.js';
import { fileBlobs } from '../store/file-blobs.js';
import { fileUploads } from '../store/file-uploads.js';
import { openStore } from '../store/open-store.js';
import { collectTemporary } from '../store/temporary-files.js';
import { StudyService } from '../study/service.js';
import { Specialisations } from '../study/specialisation/specialisations.js';
import { suiteNetworks } from '../study/suite-networks.js';
import { dashboardDir, hildaVersion, joinDir, profilesDir } from './installation.js';
import { LanDoor, type LanPorts } from './lan-access.js';
import { readRetention } from './read-retention.js';
import { healthChecks, scheduledBackups, scheduledSuites } from './scheduled-work.js';

export interface DaemonOptions {
  /** Database, blobs, journal. Made when missing. */
  readonly dataDir: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** A listening socket of loopback that a service manager passed, in place of the port. */
  readonly socket?: number;
  readonly clock: Clock;
  readonly profilesDir?: string;
  /** Drivers beside the shipped ones, e.g. a fake. */
  readonly drivers?: readonly Driver[];
  /** Packages that the person who starts the daemon names: their code runs in it. */
  readonly plugins?: PluginSettings;
  /** Whether this machine's hardware, pages, phones and agents are looked for; true by default. */
  readonly shippedDrivers?: boolean;
  /** Ports on which phones and agents of the networks may join; left out, only this machine's may. */
  readonly lan?: LanPorts;
  /** Phones through the adb server; left out, none are looked for. */
  readonly adb?: {
    /** Start adb's server where none runs; it outlives the daemon. */
    readonly start?: boolean;
    /** As `RunnerOptions`. */
    readonly runners?: readonly string[];
    readonly cores?: readonly string[];
    /** Another port than adb's own. */
    readonly port?: number;
    /** Another port than 28080, under which phones reach the daemon. */
    readonly phonePort?: number;
  };
  readonly onError?: (error: HildaError, place: string) => void;
  /** Evaluators that tokens may name though they run programs or name files, word for word. */
  readonly allowedEvaluators?: readonly Json[];
  /** Injects faults into this process; left out, there are none. */
  readonly faults?: Switchboard;
  /** Hears of every write that somebody asked for. */
  readonly onAudit?: (entry: AuditEntry) => void;
  /** Hears of every request that only read. */
  readonly onRead?: (entry: AuditEntry) => void;
}

/** What each part may take to stop. */
const leastStopMs = 100;

/** What starts, in order, and what it does meanwhile. */
const parts = {
  plugins: 'packages of others are loaded',
  store: 'the database is opened and checked',
  devices: 'drivers are opened',
  jobs: 'jobs that an earlier life left are taken up',
  studies: 'studies that an earlier life left are taken up',
  networks: 'the ports for phones and agents are opened',
  campaigns: 'devices are looked for, campaigns go on',
} as const;

/** The composition root: the one place that knows which parts a daemon is made of. */
export class Daemon {
  readonly #options: DaemonOptions;
  /** Ends after the parts have stopped: an abort before would fail the studies that stopping pauses. */
  readonly #life = new AbortController();
  /** What was started, in order; stopped in reverse. */
  readonly #started: (() => Promise<void>)[] = [];

  /** Whether it serves; asked at /readyz. */
  readonly readiness: Readiness;

  #pageLink: (() => string) | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.readiness = new Readiness(options.clock, parts);
  }

  /** Answers with the address of the page and the API. What had started is stopped again when a later part fails. */
  async start(signal: AbortSignal): Promise<string> {
    try {
      return await this.#start(signal);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** An address that opens the page once, within ten minutes, and gives it its session. Of a daemon that has started. */
  pageLink(): string {
    if (this.#pageLink) return this.#pageLink();
    throw new HildaError('STATE_CONFLICT', 'the daemon has not started');
  }

  /**
   * Idempotent: requests end, then studies, then devices, then the store. A part that takes longer than the time left, or
   * than what each may take in any case, is left to the end of the process: what is stored is whole at every moment.
   */
  async stop({ withinMs = 600_000 }: { readonly withinMs?: number } = {}): Promise<void> {
    const failures: unknown[] = [];
    this.readiness.stopping();
    const { clock } = this.#options;
    const endUs = clock.monotonicUs() + 1000 * withinMs;
    for (let stop = this.#started.pop(); stop; stop = this.#started.pop()) {
      const leftMs = Math.max(leastStopMs, (endUs - clock.monotonicUs()) / 1000);
      // One part's failure must not keep the others, the store above all, from closing.
      await within(leftMs, 'a part of the daemon did not stop', stop(), clock).catch((error: unknown) =>
        failures.push(error),
      );
    }
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon has stopped'));
    if (failures.length > 0) throw failures[0];
  }

  async #start(signal: AbortSignal): Promise<string> {
    const {
      dataDir,
      port,
      socket,
      drivers = [],
      plugins: pluginSettings = { plugins: [], folders: [] },
      profilesDir: profiles = profilesDir,
      shippedDrivers = true,
      lan = {},
      adb,
      onError,
      onAudit,
      onRead,
      allowedEvaluators,
      faults,
    } = this.#options;
    const clock = faults ? faultyClock(this.#options.clock, faults) : this.#options.clock;
    if (faults) {
      const unuse = useSwitchboard(faults);
      this.#started.push(async () => unuse());
    }
    const { readiness } = this;
    const policy = await readRetention(dataDir);
    const front = new FrontDoor({ port, readiness, ...(socket !== undefined && { socket }) });
    this.#started.push(() => front.close());
    const url = await front.open();
    readiness.enter('plugins');
    const plugins = await loadPlugins(pluginSettings.plugins, {
      folders: pluginSettings.folders,
      clock,
      evaluatorKinds,
    });
    readiness.enter('store');
    const store = await openStore({
      dataDir,
      clock,
      onMigrate: (names) => readiness.say(`the database gets ${names.join(', ')}`),
    });
    this.#started.push(() => store.close());
    readiness.watch('store', () => store.lastSeq());
    readiness.enter('devices');
    // No writer takes a minute for a file.
    const collected = collectTemporary(dataDir, clock.nowMs() - 60_000).catch(() => 0);
    this.#started.push(async () => void (await collected));
    const blobs = fileBlobs(join(dataDir, 'blobs'));
    const uploads = await fileUploads(join(dataDir, 'uploads'), clock);

    const reader = new ModelReader({ clock, folder: join(dataDir, 'reading') });
    const reading = new DataReader({ clock, folder: join(dataDir, 'reading-data') });
    this.#started.push(async () => void (await Promise.all([reader.stop(), reading.stop()])));

    const localToken = newLocalToken();
    const access = new Access(store, clock, localToken);
    const keys = new StoredJoinKeys(store, clock, (token) => access.invitesAgents(token));
    const pages = new PageHub({ keys, clock });
    this.#started.push(async () => pages.close());
    const machine = thisMachine();
    const agents = new AgentHub({ keys, clock, machine });
    let tunnelPort = 0;
    const phones = adb && {
      adb: new AdbServer({
        clock,
        ...(adb.start !== undefined && { start: adb.start }),
        ...(adb.port !== undefined && { port: adb.port }),
      }),
      clock,
      pages,
      keys,
      joinPort: () => tunnelPort,
      ...(adb.runners && { runners: adb.runners }),
      ...(adb.cores && { cores: adb.cores }),
      ...(adb.phonePort !== undefined && { phonePort: adb.phonePort }),
    };
    const { drivers: shipped, unusable } = shippedDrivers
      ? await openDrivers({
          browser: { hub: pages, clock, machine },
          agents,
          ...(phones && { adb: phones }),
        })
      : { drivers: [], unusable: [] };
    for (const { kind, obstacle } of unusable)
      onError?.(new HildaError('DEVICE_FAILED', obstacle), `devices of the kind ${kind}`);
    const pool = new DevicePool({
      store,
      drivers: [...shipped, ...plugins.drivers, ...drivers],
      clock,
      ...(onError && {
        logger: {
          warn: (details: object, message: string) =>
            onError(asHildaError((details as { readonly err?: unknown }).err), message),
        },
      }),
    });
    signal.throwIfAborted();
    await pool.start(this.#life.signal);
    this.#started.push(() => pool.stop());
    const availability = new AvailabilityLog({ store, pool, clock, ...(onError && { onError }) });
    await availability.start();
    this.#started.push(() => availability.stop());

    readiness.enter('jobs');
    const readNetwork = (bytes: Uint8Array): Promise<Graph> => reader.read(bytes);
    const places = { blobs, uploads, readNetwork, reading };
    const jobs = new Jobs({ store, pool, clock, places });
    await jobs.start(this.#life.signal);
    this.#started.push(() => jobs.stop());

    const leases = new PersonalLeases({ store, jobs, clock });
    leases.start();
    this.#started.push(() => leases.stop());

    const campaigns = new Campaigns({ store, clock });
    const predictors = new PredictorService({
      store,
      jobs,
      campaigns,
      clock,
      profilesDir: profiles,
      reading,
      pure: plugins.pure,
    });
    const comparisons = new Comparisons({ store, jobs, campaigns, clock });
    this.#started.push(() => campaigns.stop());

    readiness.enter('studies');
    const studies = new StudyService({
      store,
      pool,
      jobs,
      clock,
      profilesDir: profiles,
      predictors,
      samplers: plugins.samplers,
      evaluators: plugins.evaluators,
      pure: plugins.pure,
      reading,
      version: hildaVersion(),
      ...(onError && { onError: (error: HildaError, id: string) => onError(error, `study ${id}`) }),
    });
    await studies.start();
    this.#started.push(() => studies.stop());

    const specialisations = new Specialisations({ store, studies, profilesDir: profiles });
    await specialisations.start();
    this.#started.push(() => specialisations.stop());

    const sources = suiteNetworks(studies, profiles);
    const benchmarks = new BenchmarkRuns({ store, jobs, campaigns, clock, blobs, sources, reading });

    const told = { store, clock, ...(onError && { onError }) };
    const webhooks = new Webhooks(told);
    webhooks.start();
    this.#started.push(() => webhooks.stop());
    const alerts = new SuiteAlerts({ store, onAlerts: () => webhooks.wake() });
    const calendar = new Schedules({ store, clock, ...(onError && { onError }) });
    calendar.define('suite', scheduledSuites(benchmarks, { clock, alerts }));
    const health = new HealthChecks({ store, pool, jobs });
    calendar.define('health', healthChecks(jobs, health));
    calendar.define('backup', scheduledBackups(dataDir, clock));
    const schedules = new ProbeSchedules({ store, predictors, schedules: calendar, clock });
    await schedules.start();
    this.#started.push(() => calendar.stop());

    const rollouts = new Rollouts({
      store,
      pool,
      jobs,
      clock,
      places,
      trial: (study, number) => studies.exportTrial(study, number),
      ...(onError && { onError: (error: HildaError, id: string) => onError(error, id) }),
    });
    this.#started.push(() => rollouts.stop());

    const retention = new Retention({ store, pool, clock, policy, ...(onError && { onError }) });
    retention.start();
    this.#started.push(() => retention.stop());

    const watcher = new SeriesWatcher({ ...told, onAlerts: () => webhooks.wake() });
    watcher.start();
    this.#started.push(() => watcher.stop());
    const digests = new Digests({ ...told, pool, onQueued: () => webhooks.wake() });
    digests.start();
    this.#started.push(() => digests.stop());

    readiness.enter('networks');
    const door = new LanDoor({
      ...lan,
      dataDir,
      clock,
      joinDir,
      onChange: (urls) => agents.peers.announce(urls),
      ...(onError && { onError }),
    });
    const services: DaemonServices = {
      version: hildaVersion(),
      plugins: plugins.plugins,
      unusable,
      ...(faults && { faults }),
      clock,
      access,
      pageBases: () => door.pageBases(),
      ...(allowedEvaluators && { allowedEvaluators }),
      store,
      blobs,
      uploads,
      pool,
      studies,
      specialisations,
      predictors,
      schedules,
      calendar,
      joining: {
        keys,
        addresses: () => [
          ...door.addresses(),
          { base: url, note: 'this machine (secure)', pin: null, fingerprint: null },
        ],
        acceptPage: (...whom) => pages.accept(...whom),
        acceptAgent: (...whom) => agents.accept(...whom),
        lineTo: (device) => pages.lineTo(device) ?? agents.lineTo(device),
      },
      jobs,
      health,
      leases,
      readNetwork,
      reading,
      campaigns,
      benchmarks,
      comparisons,
      webhooks,
      digests,
      rollouts,
      retention,
    };
    const server = new ApiServer(services, {
      opened: { front, url },
      ...(existsSync(dashboardDir) && { dashboardDir }),
      ...(existsSync(joinDir) && { joinDir }),
      ...(onError && { onError }),
      ...(onAudit && { onAudit }),
      ...(onRead && { onRead }),
    });
    // After the API and its channels, which tell those who joined that the daemon stops.
    this.#started.push(() => door.stop());
    this.#started.push(() => server.stop());
    await server.start(this.#life.signal);
    const onUnwritten = (thrown: unknown): void =>
      onError?.(
        new HildaError('INTERNAL', 'the token could not be written where commands look for it', {
          hint: 'The data folder holds it in the file `token`: commands take it from HILDA_TOKEN.',
          cause: thrown,
        }),
        'the token',
      );
    this.#started.push(await announceToken(localToken, { dataDir, url, onUnwritten }));
    this.#pageLink = () => `${url}/open?code=${access.link()}`;
    if (phones) tunnelPort = await this.#openToTunnels(server);
    await door.start(server, this.#life.signal);
    readiness.enter('campaigns');
    await pool.discover({ signal });
    await campaigns.start();
    await calendar.start();
    await rollouts.start();
    readiness.started();
    return url;
  }

  /** Phones on cables reach a port of their own, with nothing of the API. Answers with it. */
  async #openToTunnels({ pages }: ApiServer): Promise<number> {
    const server = new JoinServer({ port: 0, loopback: true, identity: null, joinDir, pages });
    this.#started.push(() => server.stop());
    return server.start(this.#life.signal);
  }
}
