import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Access } from '../../daemon/access/access.js';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import { ApiServer } from '../../daemon/api/api-server.js';
import type { DaemonServices, StudyPort } from '../../daemon/api/services.js';
import { Digests } from '../../daemon/benchmarks/alerts/digests.js';
import { SuiteAlerts } from '../../daemon/benchmarks/alerts/suite-alerts.js';
import { Webhooks } from '../../daemon/benchmarks/alerts/webhooks.js';
import { BenchmarkRuns } from '../../daemon/benchmarks/runs/benchmark-runs.js';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, PredictorId, SpecialisationId, StudyId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import type { Deployment, Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Retention, retentionPolicySchema } from '../../daemon/fleet/retention.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { Comparisons } from '../../daemon/jobs/comparisons.js';
import { HealthChecks } from '../../daemon/jobs/health-checks.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { PersonalLeases } from '../../daemon/jobs/personal-leases.js';
import type { Graph } from '../../daemon/network/graph.js';
import { PredictorService } from '../../daemon/predictors/predictor-service.js';
import { ProbeSchedules } from '../../daemon/predictors/probe-schedules.js';
import { profilesDir } from '../../daemon/process/installation.js';
import { healthChecks, scheduledSuites } from '../../daemon/process/scheduled-work.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { Rollouts } from '../../daemon/rollouts/rollouts.js';
import { Schedules } from '../../daemon/schedules/schedules.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { Store, TrialFilter, TrialPage, TrialRecord } from '../../daemon/store/contract.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { fileUploads } from '../../daemon/store/file-uploads.js';
import { openStore } from '../../daemon/store/open-store.js';
import type { DeviceCoverage } from '../../daemon/study/coverage.js';
import type { DeviceFront, FrontRow, Fronts } from '../../daemon/study/front-rows.js';
import { findSpace } from '../../daemon/study/parts.js';
import { type Specialisation, summarySchema } from '../../daemon/study/specialisation/shapes.js';

const clock = systemClock;
export const deviceId = 'fake-0' as DeviceId;
export const modelBytes = new TextEncoder().encode('onnx: one convolution');

const sighting: Sighting = {
  id: deviceId,
  kind: 'fake',
  label: 'Fake device',
  host: null,
  obstacle: null,
  target: {
    model: 'fake',
    clockHz: null,
    runtime: 'fake',
    runtimeVersion: '1',
    provider: 'cpu',
    threads: 1,
    dtype: 'float32',
    tier: 'host',
  },
};

const graph: Graph = {
  name: 'net',
  opset: 17,
  inputs: [{ name: 'x', dtype: 'float32', dims: [1, 3, 8, 8] }],
  outputs: [],
  initializers: new Map(),
  nodes: [],
};

const summary = { n: 3, min: 90, median: 100, p90: 110, mad: 2, ciLow: 98, ciHigh: 102 };

const measurement = (protocol: string): Measurement => ({
  target: sighting.target,
  provenance: 'measured',
  protocol,
  structureHash: 'a'.repeat(64),
  weightsHash: 'b'.repeat(64),
  latency: {
    rawUs: summary,
    ratio: summary,
    normalisedUs: 100,
    normalisedCiUs: [98, 102],
    reference: 'convolution',
    loadUs: 1000,
    firstRunUs: 200,
  },
  counts: null,
  memory: { weightBytes: 1000, activationPeakBytes: 500, peakBytes: 1500, runPeakRssBytes: null },
  verdict: protocol === 'careful' ? 'noisy' : 'valid',
  reason: 'as the test wants it',
  manifest: { threads: 1 },
  rounds: [1, 2, 3].map((i) => ({
    referenceBeforeUs: 50,
    candidateUs: 100 + i,
    referenceAfterUs: 50,
    kept: true,
  })),
  takenAtMs: clock.nowMs(),
  durationMs: 5,
});

const deployedPort = {
  name: 'x',
  dims: [4],
  layout: 'row-major',
  quantisation: { scale: 1, zeroPoint: 0 },
} as const;

const deployment: Deployment = {
  structureHash: 'a'.repeat(64),
  weightsHash: 'b'.repeat(64),
  programCrc: 1,
  flashBytes: 1000,
  arenaBytes: 500,
  inputOffset: null,
  inputBytes: 4,
  outputOffset: 0,
  outputBytes: 4,
  input: deployedPort,
  output: deployedPort,
  moreInputs: [],
  moreOutputs: [],
  calibratedOn: 'random values',
};

/** A device on paper: it measures at once, deploys, profiles. */
const paperDevice: Device = {
  target: sighting.target,
  limits: { memoryBytes: null, weightBytes: null },
  measure: async (_, { name }) => measurement(name),
  profile: async () => [
    {
      name: 'conv',
      op: 'Conv',
      provider: 'cpu',
      medianUs: 50,
      count: null,
      outputBytes: 100,
      parameterBytes: 200,
      liveBytes: 300,
    },
  ],
  deploy: async () => deployment,
  runDeployed: async () => ({ y: { dims: [4], data: Float32Array.of(1, 2, 3, 4) } }),
  close: async () => {},
};
const paperDriver: Driver = {
  kind: 'fake',
  async *discover() {
    yield sighting;
  },
  open: async () => paperDevice,
};

/** One measurement, stored under a lease, as the daemon does it. */
async function measureInto(store: Store, protocol: string, trial?: { studyId: StudyId; number: number }) {
  const lease = await store.acquireLease(deviceId, 'test', 10_000);
  if (!lease) throw new HildaError('LEASE_DENIED', 'the device is held');
  try {
    return await store.addMeasurement(measurement(protocol), { deviceId, lease, ...(trial && { trial }) });
  } finally {
    await store.releaseLease(lease);
  }
}

const study = 'study-1' as StudyId;
const cell = {
  provenance: 'measured',
  measurementId: null,
  accuracy: 0.9,
  accuracyCi: [0.88, 0.92],
} as const;
/** One row: measured here, beyond a limit on a board. */
const specialisation: Specialisation = {
  id: 'specialisation-1' as SpecialisationId,
  name: 'two devices',
  state: 'completed',
  reason: null,
  createdMs: 1,
  slack: 0.01,
  finalists: 5,
  protocol: null,
  columns: [
    { deviceId, speed: 'latencyUs', search: study, finals: study },
    { deviceId: 'pico' as DeviceId, speed: 'cycles', search: study, finals: null },
  ],
  level: 0.89,
  distinctFinalists: 6,
  rows: [
    {
      deviceId,
      foundFor: 'pico' as DeviceId,
      study,
      trialNumber: 3,
      architectureId: architectureId('test', [3]),
      accuracy: 0.9,
      accuracyCi: [0.88, 0.92],
      cells: {
        [deviceId]: { ...cell, value: 100, ci: [98, 102], reason: null },
        ['pico' as DeviceId]: { ...cell, value: null, ci: null, reason: 'not measured yet' },
      },
      standing: 'fastest',
    },
  ],
};

/** Studies without a loop: the test says when the next trial ends. */
export class SteppedStudies implements StudyPort {
  constructor(readonly store: Store) {}

  create = (spec: unknown) => {
    if (typeof (spec as { name?: unknown } | null)?.name !== 'string')
      throw new HildaError('SPEC_INVALID', 'name: missing', { details: { fields: ['name'] } });
    const { name } = spec as { name: string };
    return this.store.createStudy({ name, spec: spec as Json, sampler: null, rng: [1, 2, 3, 4] });
  };
  list = () => this.store.studies();
  trials = (id: StudyId, filter?: TrialFilter & TrialPage) => this.store.trials(id, filter);
  pause = (id: StudyId) => this.store.setStudyState(id, 'paused', 'paused by the user');
  resume = (id: StudyId) => this.store.setStudyState(id, 'running');
  stopStudy = (id: StudyId) => this.store.setStudyState(id, 'stopped');
  ask = async (id: StudyId) => ({ state: (await this.store.study(id)).state, trials: [] });
  tell = async (id: StudyId) => ({ state: (await this.store.study(id)).state, trials: [] });
  decisions = async (id: StudyId) => {
    await this.store.study(id);
    return { spaceId: 'test', decisions: null };
  };
  compare = async (_: StudyId, [a, b]: readonly [number, number]) =>
    besideBefore(Math.max(a, b)).map((one) => ({ ...one, trialNumber: b }));
  exportTrial = async (_study: StudyId, _number: number) => ({
    onnx: modelBytes,
    manifest: { measured: true },
    ranges: null,
  });

  async show(id: StudyId) {
    const record = await this.store.study(id);
    const trials = await this.store.trials(id);
    const done = trials.filter(({ told }) => told).length;
    return {
      record,
      budgetTrials: 10,
      told: done,
      asked: trials.length - done,
      complete: done,
      infeasible: 0,
      failed: 0,
      frontSize: done,
      hypervolume: done / 10,
      devices: coverageOf(trials),
      etaMs: 1000,
      expectedTrials: 10,
    };
  }

  async #front(id: StudyId): Promise<FrontRow[]> {
    const complete = (await this.store.trials(id)).filter(({ state }) => state === 'complete');
    return complete.map(({ number, architectureId, values, evidence, measurements }) => ({
      trialNumber: number,
      architectureId,
      values,
      evidence,
      beside: besideBefore(number),
      latencyCiUs: (values.latencyUs === undefined
        ? {}
        : { [deviceId]: [98, 102] }) as FrontRow['latencyCiUs'],
      macs: 1000,
      parameters: 100,
      provenance: Object.keys(values).some((metric) => /^cycles/.test(metric)) ? 'emulated' : 'measured',
      measurementIds: Object.values(measurements),
    }));
  }

  async fronts(id: StudyId): Promise<Fronts> {
    const front = await this.#front(id);
    return { front, devices: this.#deviceFronts(front) };
  }

  /** The fake device's, and that of the board `pico` where trials were counted there. */
  #deviceFronts(front: readonly FrontRow[]): DeviceFront[] {
    if (!front.some(({ values }) => 'cycles@pico' in values)) return [];
    const seen = (at: RegExp, provenance: FrontRow['provenance']): FrontRow[] =>
      front.map((row) => ({
        ...row,
        provenance,
        latencyCiUs: provenance === 'measured' ? row.latencyCiUs : {},
        values: Object.fromEntries(Object.entries(row.values).filter(([metric]) => at.test(metric))),
      }));
    const objectives = (accuracy: string, cost: string): DeviceFront['objectives'] => [
      { metric: accuracy, goal: 'max' },
      { metric: cost, goal: 'min' },
    ];
    return [
      {
        deviceId,
        objectives: objectives('accuracy', 'latencyUs'),
        front: seen(/^(accuracy|latencyUs)$/, 'measured'),
      },
      {
        deviceId: 'pico' as DeviceId,
        objectives: objectives('accuracy@pico', 'cycles@pico'),
        front: seen(/^accuracy$|@pico$/, 'emulated'),
      },
    ];
  }

  async finishTrial(
    studyId: StudyId,
    board: Record<string, number> = {},
    reason: string | null = null,
  ): Promise<number> {
    const number = (await this.store.trials(studyId)).length;
    const architecture = [number];
    const after = { sampler: null, rng: [1, 2, 3, 4] } as const;
    await this.store.askTrials(
      studyId,
      [{ architectureId: architectureId('test', architecture), architecture, note: 'test', predicted: {} }],
      after,
    );
    await measureInto(this.store, 'search', { studyId, number });
    const values = { accuracy: 0.5 + number / 100, latencyUs: 100 + 10 * number, ...board };
    const { accuracy } = values;
    const evidence = {
      accuracy: {
        ci: [accuracy - 0.03, accuracy + 0.03],
        images: 1000,
        compared: null,
        source: 'noise, 1000 images',
      },
    } as const;
    await this.store.finishTrial({ studyId, number, state: 'complete', values, evidence, reason });
    await this.store.tellTrials(studyId, [number], null);
    return number;
  }
}

export interface Bench {
  readonly dir: string;
  readonly store: Store;
  readonly studies: SteppedStudies;
  readonly keys: StoredJoinKeys;
  readonly jobs: Jobs;
  readonly server: ApiServer;
  readonly url: string;
  stop(): Promise<void>;
}

export async function temporaryFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-test-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A daemon's API over a real store, with a device and studies that do what the test says. */
export async function openBench(
  t: Test,
  {
    dir,
    port = 0,
    dashboardDir,
    specialisation: shown = specialisation,
    localToken,
  }: {
    dir?: string;
    port?: number;
    dashboardDir?: string;
    specialisation?: Specialisation;
    /** The local user's. Left out, requests need no token. */
    localToken?: string;
  } = {},
): Promise<Bench> {
  const folder = dir ?? (await temporaryFolder(t));
  const store = await openStore({ dataDir: folder, clock });
  const life = new AbortController();
  const studies = new SteppedStudies(store);
  const keys = new StoredJoinKeys(store, clock);
  const agents = new AgentHub({ keys, clock });
  const blobs = fileBlobs(join(folder, 'blobs'));
  const uploads = await fileUploads(join(folder, 'uploads'), clock);
  const readNetwork = async (bytes: Uint8Array): Promise<Graph> => {
    if (!new TextDecoder().decode(bytes).startsWith('onnx'))
      throw new HildaError('ONNX_INVALID', 'these bytes are no ONNX model');
    return graph;
  };
  const pool = new DevicePool({ store, drivers: [paperDriver], clock });
  const jobs = new Jobs({
    store,
    pool,
    clock,
    places: { blobs, uploads, readNetwork, reading: readHere },
    retryMs: 10,
  });
  await pool.start(life.signal);
  await pool.discover();
  await pool.adopt(deviceId);
  await jobs.start(life.signal);
  const campaigns = new Campaigns({ store, clock });
  const comparisons = new Comparisons({ store, jobs, campaigns, clock });
  const predictors = new PredictorService({
    campaigns,
    store,
    clock,
    profilesDir,
    jobs,
  });
  const known = (id: SpecialisationId): Specialisation => {
    if (id === shown.id) return shown;
    throw new HildaError('NOT_FOUND', `there is no specialisation ${id}`);
  };
  const benchmarks = new BenchmarkRuns({
    store,
    jobs,
    campaigns,
    clock,
    blobs,
    sources: { winner: async () => modelBytes, samples: async () => [modelBytes] },
  });
  const rollouts = new Rollouts({
    store,
    pool,
    jobs,
    clock,
    places: { blobs, uploads, readNetwork, reading: readHere },
    trial: (study, number) => studies.exportTrial(study, number),
  });
  const calendar = new Schedules({ store, clock });
  calendar.define(
    'suite',
    scheduledSuites(benchmarks, { clock, alerts: new SuiteAlerts({ store, onAlerts: () => {} }) }),
  );
  const health = new HealthChecks({ store, pool, jobs });
  calendar.define('health', healthChecks(jobs, health));
  const services: DaemonServices = {
    version: '0.0.0-test',
    clock,
    ...(localToken !== undefined && { access: new Access(store, clock, localToken) }),
    store,
    blobs,
    uploads,
    jobs,
    health,
    leases: new PersonalLeases({ store, jobs, clock }),
    readNetwork,
    reading: readHere,
    studies,
    specialisations: {
      create: async () => shown,
      list: async () => [summarySchema.parse(shown)],
      show: async (id) => known(id),
      resume: async (id) => known(id),
    },
    predictors,
    schedules: new ProbeSchedules({ store, predictors, schedules: calendar, clock }),
    calendar,
    joining: {
      keys,
      addresses: () => [{ base: 'http://127.0.0.1:1', note: 'the test', pin: null, fingerprint: null }],
      acceptPage: async (connection) => {
        connection.close(1008, 'nobody joins here');
        return null;
      },
      acceptAgent: (...whom) => agents.accept(...whom),
      lineTo: (device) => agents.lineTo(device),
    },
    pool,
    webhooks: new Webhooks({ store, clock }),
    digests: new Digests({ store, pool, clock, onQueued: () => {} }),
    retention: new Retention({ store, pool, clock, policy: retentionPolicySchema.parse({}) }),
    campaigns,
    benchmarks,
    rollouts,
    comparisons: {
      start: (a, b) => comparisons.start(a, b),
      verdict: async (a, b) => {
        await store.device(a);
        const same = { equivalent: true, ratio: 1, interval: [0.99, 1.01] as const };
        const { target } = sighting;
        return {
          devices: [a, b],
          target: JSON.stringify(target),
          margin: 0.05,
          visits: 5,
          equivalent: true,
          convolution: same,
          transformer: same,
          takenAtMs: 1,
        };
      },
    },
  };
  const server = new ApiServer(services, { port, ...(dashboardDir && { dashboardDir }) });
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await server.stop();
    await campaigns.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
  };
  t.teardown(stop);
  const url = await server.start(new AbortController().signal);
  return { dir: folder, store, studies, keys, jobs, server, url, stop };
}

/** A predictor of a dozen networks, as a campaign leaves it; their operators stand for their costs. */
export async function storePredictor(store: Store): Promise<{ id: PredictorId; architecture: Json }> {
  const file = findSpace('mbconv-fmnist', profilesDir);
  const space = loadSpace(file);
  const rng = Xoshiro128.fromSeed(1);
  const samples = Array.from({ length: 12 }, (_, i) => {
    const architecture = space.sample(rng) as Json;
    const parts = [...space.features(architecture as Architecture)]
      .filter(([key]) => key.includes(' > '))
      .map(([key, count]) => ({ key, cost: 3 * count + key.length }));
    const value = 20 + parts.reduce((sum, { cost }) => sum + cost, 0);
    return { architecture, structureHash: '', measurementId: `m${i}`, value, parts, blocks: [] };
  });
  const body = {
    version: 1,
    space: file,
    provenance: 'measured',
    protocol: 'quick',
    seed: 1,
    samples,
    live: [],
  };
  const { target } = await store.device(deviceId);
  const record = { deviceId, target, spaceId: space.id, metric: 'latencyUs', body: body as unknown as Json };
  const { id } = await store.addPredictor(record);
  return { id, architecture: samples[0]?.architecture as Json };
}

/** Of trial 1 it is not known whether it is more accurate than trial 0; the others are apart. */
const besideBefore = (number: number): FrontRow['beside'] =>
  number === 0
    ? []
    : [
        {
          trialNumber: number - 1,
          metric: 'accuracy',
          difference: 0.01,
          ci: [number === 1 ? -0.005 : 0.005, 0.025],
          basis: 'paired',
          apart: number > 1,
        },
      ];

/** Of the fake device, and of the board `pico` where trials were counted there. */
function coverageOf(trials: readonly TrialRecord[]): DeviceCoverage[] {
  const whole = trials.filter(({ values }) => 'cycles@pico' in values).length;
  const fake = { deviceId, measured: trials.length, missing: 0 };
  const pico = { deviceId: 'pico' as DeviceId, measured: whole, missing: trials.length - whole };
  return whole > 0 ? [fake, pico] : [fake];
}
