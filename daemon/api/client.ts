import { z } from 'zod';
import { localTokenFor } from '../access/local-token.js';
import { type ReportDocument, reportSchema } from '../benchmarks/reports/document.js';
import type { suiteSchema } from '../benchmarks/suites/suite.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { onAbort } from '../core/on-abort.js';
import { deploymentSchema, operatorCostSchema } from '../devices/schemas.js';
import { type BindingsRequest, blobSchema } from '../jobs/input-schemas.js';
import type { probeScheduleSchema } from '../predictors/probe-schedule.js';
import type { AlertState } from '../store/alert-contract.js';
import { linkSchema, newTokenSchema, type tokenRequestSchema, tokenSchema } from './access-schemas.js';
import {
  type AlertView,
  type acknowledgeRequestSchema,
  alertSchema,
  type muteRequestSchema,
  muteSchema,
} from './alert-schemas.js';
import {
  type BenchmarkRunView,
  baselineSchema,
  type benchmarkImportSchema,
  benchmarkRunSchema,
} from './benchmark-schemas.js';
import { deviceSchema, equivalenceSchema, invitationSchema, joinerSchema } from './device-schemas.js';
import { deviceHealthSchema, healthCheckSchema } from './health-schemas.js';
import { historySchema } from './history-schemas.js';
import { type JobView, jobSchema } from './job-schemas.js';
import { type leaseRequestSchema, leaseSchema } from './lease-schemas.js';
import {
  type deploymentRequestSchema,
  type inferenceRequestSchema,
  measurementSchema,
  networkSchema,
  tensorsSchema,
} from './measurement-schemas.js';
import {
  type CampaignView,
  type campaignRequestSchema,
  campaignSchema,
  driftSchema,
  figuresSchema,
  type importRequestSchema,
  predictorDetailSchema,
  predictorSchema,
  scheduleSchema,
  type tableQuerySchema,
  tableSchema,
} from './predictor-schemas.js';
import { fromProblem } from './problem.js';
import { forgottenSchema } from './retention-schemas.js';
import {
  deviceChangeSchema,
  type RolloutView,
  rolloutDeviceSchema,
  rolloutSchema,
} from './rollout-schemas.js';
import {
  firingListSchema,
  type ScheduleView,
  scheduleEntrySchema,
  type scheduleRequestSchema,
} from './schedule-schemas.js';
import {
  besideSchema,
  exportSchema,
  frontsSchema,
  healthSchema,
  studySchema,
  studySummarySchema,
  trialSchema,
} from './schemas.js';
import {
  type specialisationRequestSchema,
  specialisationSchema,
  specialisationSummarySchema,
} from './specialisation-schemas.js';
import {
  type DigestView,
  deliverySchema,
  digestSchema,
  newWebhookSchema,
  webhookSchema,
} from './webhook-schemas.js';

interface CallOptions {
  readonly signal: AbortSignal;
}

interface ModelRequest extends BindingsRequest {
  readonly model: string;
  readonly device: string;
}

const devices = z.object({
  devices: z.array(deviceSchema),
  unusable: z.array(z.object({ kind: z.string(), obstacle: z.string() })).default([]),
});
const alertList = z.object({ alerts: z.array(alertSchema), total: z.int(), next: z.string().nullable() });
const jobList = z.object({ jobs: z.array(jobSchema), total: z.int() });
const discovered = devices.extend({ obstacles: z.record(z.string(), z.string()) });

/**
 * Speaks to a daemon over HTTP. Every method throws the daemon's own error, with its code and hint, and
 * DAEMON_UNREACHABLE where none answers.
 */
export class DaemonClient {
  readonly #base: string;
  readonly #token: string | undefined;

  /**
   * `base`: the daemon's address, e.g. `http://127.0.0.1:8766`. Without a token, each request shows the one that the daemon
   * wrote down for its user, where this is that user.
   */
  constructor(base: string, { token }: { readonly token?: string } = {}) {
    this.#base = base.replace(/\/+$/, '');
    this.#token = token;
  }

  get base(): string {
    return this.#base;
  }

  health = (options: CallOptions) => this.#get('/health', healthSchema, options);
  prune = (request: { readonly dryRun: boolean }, options: CallOptions) =>
    this.#post('/retention/prune', forgottenSchema, request, options);
  devices = async (options: CallOptions) => (await this.fleet(options)).devices;
  /** The devices, and the kinds that cannot be used. */
  fleet = (options: CallOptions) => this.#get('/devices', devices, options);
  device = (id: string, options: CallOptions) =>
    this.#get(`/devices/${encodeURIComponent(id)}`, deviceSchema, options);
  discover = (options: CallOptions) => this.#post('/devices/discover', discovered, undefined, options);
  adopt = (id: string, options: CallOptions) =>
    this.#post(`/devices/${encodeURIComponent(id)}/adopt`, deviceSchema, undefined, options);
  setAside = (id: string, how: 'ignore' | 'quarantine', reason: string | null, options: CallOptions) =>
    this.#post(`/devices/${encodeURIComponent(id)}/${how}`, deviceSchema, { reason }, options);
  release = (id: string, relearn: boolean, options: CallOptions) =>
    this.#post(`/devices/${encodeURIComponent(id)}/release`, deviceSchema, { relearn }, options);
  deviceHealth = (id: string, options: CallOptions) =>
    this.#get(`/devices/${encodeURIComponent(id)}/health`, deviceHealthSchema, options);
  checkHealth = (id: string, options: CallOptions) =>
    this.#post(`/devices/${encodeURIComponent(id)}/health/check`, healthCheckSchema, undefined, options);
  tag = (id: string, tags: readonly string[], options: CallOptions) =>
    this.#post(`/devices/${encodeURIComponent(id)}/tags`, deviceSchema, { tags }, options);
  compare = (id: string, other: string, margin: number, options: CallOptions) =>
    this.#post(
      `/devices/${encodeURIComponent(id)}/compare`,
      equivalenceSchema,
      { with: other, margin },
      options,
    );

  /** With `as`, somebody who joined before and lost its key: it comes back as that. */
  invite = (kind: 'page' | 'agent', { as, signal }: CallOptions & { readonly as?: string }) =>
    this.#post('/joiners/invite', invitationSchema, { kind, ...(as !== undefined && { as }) }, { signal });
  joiners = (options: CallOptions) => this.#all('/joiners', 'joiners', joinerSchema, options);
  revoke = (id: string, options: CallOptions) =>
    this.#post(`/joiners/${encodeURIComponent(id)}/revoke`, joinerSchema, undefined, options);

  uploadModel = (bytes: Uint8Array, options: CallOptions) =>
    this.#post('/models', networkSchema, bytes, options);

  uploadBlob = (bytes: Uint8Array, options: CallOptions) => this.#post('/blobs', blobSchema, bytes, options);

  async modelBytes(sha256: string, options: CallOptions): Promise<Uint8Array> {
    const take = async (response: Response) =>
      new Uint8Array(await whole(response, () => response.arrayBuffer()));
    return this.#ask(`/models/${sha256}`, { method: 'GET' }, options, take);
  }

  startMeasurement = (request: ModelRequest & { readonly protocol: string }, options: CallOptions) =>
    this.#post('/measurements?wait=false', jobSchema, request, options);
  job = (id: string, options: CallOptions) =>
    this.#get(`/jobs/${encodeURIComponent(id)}`, jobSchema, options);
  /** Asks for a job every so many milliseconds until it neither waits nor runs. */
  ended = async (
    job: JobView,
    { clock, everyMs, ...options }: CallOptions & { readonly clock: Clock; readonly everyMs: number },
  ): Promise<JobView> => {
    let seen = job;
    while (seen.state === 'queued' || seen.state === 'running') {
      await clock.sleep(everyMs, options);
      seen = await this.job(seen.id, options);
    }
    return seen;
  };
  jobs = (
    filter: { readonly state?: JobView['state']; readonly share?: string; readonly limit?: number },
    options: CallOptions,
  ) => {
    const given = Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]);
    return this.#get(`/jobs?${new URLSearchParams(given)}`, jobList, options);
  };
  acquireLease = (request: z.input<typeof leaseRequestSchema>, options: CallOptions) =>
    this.#post('/leases', leaseSchema, request, options);
  leases = (options: CallOptions) => this.#all('/leases', 'leases', leaseSchema, options);
  renewLease = (
    id: string,
    request: { readonly token: number; readonly ttlMs: number },
    options: CallOptions,
  ) => this.#post(`/leases/${encodeURIComponent(id)}/renew`, leaseSchema, request, options);
  releaseLease = (id: string, request: { readonly token: number }, options: CallOptions) =>
    this.#post(`/leases/${encodeURIComponent(id)}/release`, leaseSchema, request, options);
  actOnJob = (id: string, action: 'cancel' | 'retry', options: CallOptions) =>
    this.#post(`/jobs/${encodeURIComponent(id)}/${action}`, jobSchema, undefined, options);
  measurement = (id: string, options: CallOptions) =>
    this.#get(`/measurements/${encodeURIComponent(id)}`, measurementSchema, options);
  alerts = (
    filter: { readonly state?: AlertState; readonly device?: string; readonly limit?: number },
    options: CallOptions,
  ) => {
    const given = Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]);
    return this.#get(`/alerts?${new URLSearchParams(given)}`, alertList, options);
  };
  alert = (id: string, options: CallOptions): Promise<AlertView> =>
    this.#get(`/alerts/${encodeURIComponent(id)}`, alertSchema, options);
  acknowledge = (id: string, request: z.input<typeof acknowledgeRequestSchema>, options: CallOptions) =>
    this.#post(`/alerts/${encodeURIComponent(id)}/acknowledge`, alertSchema, request, options);
  mute = (request: z.input<typeof muteRequestSchema>, options: CallOptions) =>
    this.#post('/alerts/mutes', muteSchema, request, options);
  mutes = async (options: CallOptions) =>
    (await this.#get('/alerts/mutes', z.object({ mutes: z.array(muteSchema) }), options)).mutes;
  unmute = (id: string, options: CallOptions) =>
    this.#post(`/alerts/mutes/${encodeURIComponent(id)}/lift`, muteSchema, undefined, options);
  webhooks = async (options: CallOptions) =>
    (await this.#get('/webhooks', z.object({ webhooks: z.array(webhookSchema) }), options)).webhooks;
  addWebhook = (url: string, options: CallOptions) =>
    this.#post('/webhooks', newWebhookSchema, { url }, options);
  onWebhook = (id: string, action: 'test' | 'remove', options: CallOptions) =>
    this.#post(`/webhooks/${encodeURIComponent(id)}/${action}`, webhookSchema, undefined, options);
  deliveries = (id: string, limit: number, options: CallOptions) =>
    this.#get(
      `/webhooks/${encodeURIComponent(id)}/deliveries?${new URLSearchParams({ limit: String(limit) })}`,
      z.object({ deliveries: z.array(deliverySchema), total: z.int() }),
      options,
    );
  digest = (options: CallOptions): Promise<DigestView> => this.#get('/digest', digestSchema, options);
  history = (id: string, metric: string, options: CallOptions) =>
    this.#get(
      `/measurements/${encodeURIComponent(id)}/history?${new URLSearchParams({ metric })}`,
      historySchema,
      options,
    );
  profile = async (request: ModelRequest, options: CallOptions) =>
    (await this.#post('/profiles', z.object({ operators: z.array(operatorCostSchema) }), request, options))
      .operators;

  deploy = (request: z.input<typeof deploymentRequestSchema>, options: CallOptions) =>
    this.#post('/deployments', deploymentSchema, request, options);
  runDeployed = async (request: z.input<typeof inferenceRequestSchema>, options: CallOptions) =>
    (await this.#post('/deployments/run', z.object({ outputs: tensorsSchema }), request, options)).outputs;

  startRollout = (request: unknown, options: CallOptions): Promise<RolloutView> =>
    this.#post('/rollouts', rolloutSchema, request, options);
  rollout = (id: string, options: CallOptions): Promise<RolloutView> =>
    this.#get(`/rollouts/${encodeURIComponent(id)}`, rolloutSchema, options);
  rollouts = (filter: { readonly limit?: number }, options: CallOptions) => {
    const given = Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]);
    const schema = z.object({ rollouts: z.array(rolloutSchema), total: z.int() });
    return this.#get(`/rollouts?${new URLSearchParams(given)}`, schema, options);
  };
  rolloutDevices = (id: string, step: string | undefined, options: CallOptions) =>
    this.#all(
      `/rollouts/${encodeURIComponent(id)}/devices${step === undefined ? '' : `?step=${step}`}`,
      'devices',
      rolloutDeviceSchema,
      options,
    );
  pauseRollout = (id: string, options: CallOptions): Promise<RolloutView> =>
    this.#post(`/rollouts/${encodeURIComponent(id)}/pause`, rolloutSchema, undefined, options);
  resumeRollout = (id: string, options: CallOptions): Promise<RolloutView> =>
    this.#post(`/rollouts/${encodeURIComponent(id)}/resume`, rolloutSchema, undefined, options);
  abortRollout = (id: string, keep: boolean, options: CallOptions): Promise<RolloutView> =>
    this.#post(`/rollouts/${encodeURIComponent(id)}/abort`, rolloutSchema, { keep }, options);
  /** The latest of a device or a rollout, which the path names. */
  deviceChanges = (path: string, limit: number, options: CallOptions) =>
    this.#get(
      `${path}/changes?limit=${limit}`,
      z.object({ changes: z.array(deviceChangeSchema), total: z.int() }),
      options,
    );

  createToken = (request: z.input<typeof tokenRequestSchema>, options: CallOptions) =>
    this.#post('/access/tokens', newTokenSchema, request, options);
  tokens = (options: CallOptions) => this.#all('/access/tokens', 'tokens', tokenSchema, options);
  revokeToken = (id: string, options: CallOptions) =>
    this.#post(`/access/tokens/${encodeURIComponent(id)}/revoke`, tokenSchema, undefined, options);
  /** An address that opens the page once; `elsewhere`: the same link, from other machines. */
  pageLink = async (options: CallOptions) => {
    const { path, elsewhere } = await this.#post('/access/links', linkSchema, undefined, options);
    return { url: `${this.#base}${path}`, elsewhere };
  };

  createStudy = (spec: unknown, options: CallOptions) => this.#post('/studies', studySchema, spec, options);
  studies = (options: CallOptions) => this.#all('/studies', 'studies', studySchema, options);
  study = (id: string, options: CallOptions) =>
    this.#get(`/studies/${encodeURIComponent(id)}`, studySummarySchema, options);
  trials = async (id: string, options: CallOptions) =>
    (
      await this.#get(
        `/studies/${encodeURIComponent(id)}/trials`,
        z.object({ trials: z.array(trialSchema) }),
        options,
      )
    ).trials;
  front = async (id: string, options: CallOptions) => (await this.fronts(id, options)).front;
  fronts = (id: string, options: CallOptions) =>
    this.#get(`/studies/${encodeURIComponent(id)}/front`, frontsSchema, options);
  compareTrials = async (id: string, [trial, other]: readonly [number, number], options: CallOptions) =>
    (
      await this.#get(
        `/studies/${encodeURIComponent(id)}/trials/${trial}/beside/${other}`,
        z.object({ beside: z.array(besideSchema) }),
        options,
      )
    ).beside;
  act = (id: string, action: 'pause' | 'resume' | 'stop', options: CallOptions) =>
    this.#post(`/studies/${encodeURIComponent(id)}/${action}`, studySchema, undefined, options);
  exportTrial = (id: string, trial: number, options: CallOptions) =>
    this.#post(`/studies/${encodeURIComponent(id)}/trials/${trial}/export`, exportSchema, undefined, options);

  specialise = (request: z.input<typeof specialisationRequestSchema>, options: CallOptions) =>
    this.#post('/specialisations', specialisationSchema, request, options);
  specialisations = (options: CallOptions) =>
    this.#all('/specialisations', 'specialisations', specialisationSummarySchema, options);
  specialisation = (id: string, options: CallOptions) =>
    this.#get(`/specialisations/${encodeURIComponent(id)}`, specialisationSchema, options);
  resumeSpecialisation = (id: string, options: CallOptions) =>
    this.#post(`/specialisations/${encodeURIComponent(id)}/resume`, specialisationSchema, undefined, options);

  startCampaign = (request: z.input<typeof campaignRequestSchema>, options: CallOptions) =>
    this.#post('/campaigns', campaignSchema, request, options);
  campaigns = async (
    filter: { readonly state?: CampaignView['state']; readonly kind?: string; readonly limit?: number },
    options: CallOptions,
  ) => {
    const given = Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]);
    const schema = z.object({ campaigns: z.array(campaignSchema), total: z.int() });
    return this.#get(`/campaigns?${new URLSearchParams(given)}`, schema, options);
  };
  cancelCampaign = (id: string, options: CallOptions) =>
    this.#post(`/campaigns/${encodeURIComponent(id)}/cancel`, campaignSchema, undefined, options);
  campaign = (id: string, options: CallOptions) =>
    this.#get(`/campaigns/${encodeURIComponent(id)}`, campaignSchema, options);

  startBenchmark = (request: z.input<typeof suiteSchema>, options: CallOptions): Promise<BenchmarkRunView> =>
    this.#post('/benchmarks', benchmarkRunSchema, request, options);
  importBenchmark = (
    request: z.input<typeof benchmarkImportSchema>,
    options: CallOptions,
  ): Promise<BenchmarkRunView> => this.#post('/benchmarks/imports', benchmarkRunSchema, request, options);
  benchmarks = (
    filter: { readonly suite?: string; readonly before?: string; readonly limit?: number },
    options: CallOptions,
  ) => {
    const given = Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]);
    const schema = z.object({ runs: z.array(benchmarkRunSchema), total: z.int() });
    return this.#get(`/benchmarks?${new URLSearchParams(given)}`, schema, options);
  };
  benchmark = (id: string, options: CallOptions): Promise<BenchmarkRunView> =>
    this.#get(`/benchmarks/${encodeURIComponent(id)}`, benchmarkRunSchema, options);
  cancelBenchmark = (id: string, options: CallOptions): Promise<BenchmarkRunView> =>
    this.#post(`/benchmarks/${encodeURIComponent(id)}/cancel`, benchmarkRunSchema, undefined, options);
  setBaseline = (id: string, options: CallOptions) =>
    this.#post(`/benchmarks/${encodeURIComponent(id)}/baseline`, baselineSchema, undefined, options);
  /** `earlier`: a run to compare with, `baseline`, `last`, or null. */
  benchmarkReport = (id: string, earlier: string | null, options: CallOptions): Promise<ReportDocument> =>
    this.#get(
      `/benchmarks/${encodeURIComponent(id)}/report${earlier === null ? '' : `?${new URLSearchParams({ with: earlier })}`}`,
      reportSchema,
      options,
    );

  /** The journal of a study, or of a run of a suite by its number. */
  journal = (id: string, options: CallOptions): Promise<Uint8Array> => {
    const folder = /^\d+$/.test(id) ? 'benchmarks' : 'studies';
    return this.#ask(`/${folder}/${encodeURIComponent(id)}/journal`, { method: 'GET' }, options, (response) =>
      whole(response, async () => new Uint8Array(await response.arrayBuffer())),
    );
  };

  addSchedule = (
    request: z.input<typeof scheduleRequestSchema>,
    options: CallOptions,
  ): Promise<ScheduleView> => this.#post('/schedules', scheduleEntrySchema, request, options);
  schedules = async (options: CallOptions): Promise<ScheduleView[]> =>
    (await this.#get('/schedules', z.object({ schedules: z.array(scheduleEntrySchema) }), options)).schedules;
  scheduleNamed = (name: string, options: CallOptions): Promise<ScheduleView> =>
    this.#get(`/schedules/${encodeURIComponent(name)}`, scheduleEntrySchema, options);
  /** The latest. */
  firings = async (name: string, options: CallOptions) =>
    (await this.#get(`/schedules/${encodeURIComponent(name)}/firings`, z.object(firingListSchema), options))
      .firings;
  pauseSchedule = (name: string, options: CallOptions) => this.#actOn(name, 'pause', options);
  resumeSchedule = (name: string, options: CallOptions) => this.#actOn(name, 'resume', options);
  removeSchedule = (name: string, options: CallOptions) => this.#actOn(name, 'remove', options);
  #actOn(name: string, act: 'pause' | 'resume' | 'remove', options: CallOptions): Promise<ScheduleView> {
    return this.#post(
      `/schedules/${encodeURIComponent(name)}/${act}`,
      scheduleEntrySchema,
      undefined,
      options,
    );
  }

  importTable = (request: z.input<typeof importRequestSchema>, options: CallOptions) =>
    this.#post('/predictors/import', predictorDetailSchema, request, options);
  predictors = (options: CallOptions) => this.#all('/predictors', 'predictors', predictorSchema, options);
  predictor = (id: string, options: CallOptions) =>
    this.#get(`/predictors/${encodeURIComponent(id)}`, predictorDetailSchema, options);
  predictorFigures = (id: string, options: CallOptions) =>
    this.#get(`/predictors/${encodeURIComponent(id)}/figures`, figuresSchema, options);
  drift = (id: string, options: CallOptions) =>
    this.#get(`/predictors/${encodeURIComponent(id)}/drift`, driftSchema, options);
  probe = (id: string, request: { readonly count: number; readonly seed: number }, options: CallOptions) =>
    this.#post(`/predictors/${encodeURIComponent(id)}/probe`, campaignSchema, request, options);
  refit = (id: string, options: CallOptions) =>
    this.#post(`/predictors/${encodeURIComponent(id)}/refit`, predictorDetailSchema, undefined, options);
  schedule = (id: string, request: z.input<typeof probeScheduleSchema>, options: CallOptions) =>
    this.#post(`/predictors/${encodeURIComponent(id)}/schedule`, scheduleSchema, request, options);
  scheduleOf = (id: string, options: CallOptions) =>
    this.#get(`/predictors/${encodeURIComponent(id)}/schedule`, scheduleSchema, options);
  endSchedule = (id: string, options: CallOptions) =>
    this.#post(`/predictors/${encodeURIComponent(id)}/schedule/end`, scheduleSchema, undefined, options);
  latencyTable = (id: string, { format, keys }: z.infer<typeof tableQuerySchema>, options: CallOptions) =>
    this.#get(
      `/predictors/${encodeURIComponent(id)}/table?${new URLSearchParams({ format, ...(keys && { keys }) })}`,
      tableSchema,
      options,
    );

  /** All pages of a list. */
  async #all<S extends z.ZodType>(
    path: string,
    field: string,
    schema: S,
    options: CallOptions,
  ): Promise<z.infer<S>[]> {
    const found: z.infer<S>[] = [];
    const page = z.object({ [field]: z.array(schema), next: z.string().nullable().default(null) });
    for (let at: string | null = path; at !== null; ) {
      const answer = (await this.#get(at, page, options)) as Record<string, unknown>;
      found.push(...(answer[field] as z.infer<S>[]));
      at = (answer.next as string | null)?.replace(/^\/v1/, '') ?? null;
    }
    return found;
  }

  async #get<S extends z.ZodType>(path: string, schema: S, options: CallOptions): Promise<z.infer<S>> {
    return this.#ask(path, { method: 'GET' }, options, (response) => read(response, schema));
  }

  async #post<S extends z.ZodType>(
    path: string,
    schema: S,
    body: unknown,
    options: CallOptions,
  ): Promise<z.infer<S>> {
    const bytes = body instanceof Uint8Array;
    const init: RequestInit = { method: 'POST' };
    if (body !== undefined) {
      init.headers = { 'content-type': bytes ? 'application/octet-stream' : 'application/json' };
      init.body = bytes ? Buffer.from(body) : JSON.stringify(body);
    }
    return this.#ask(path, init, options, (response) => read(response, schema));
  }

  /** What `take` makes of the answer. The signal of a client that asks for days gets no listener more with each request. */
  async #ask<T>(
    path: string,
    init: RequestInit,
    { signal }: CallOptions,
    take: (response: Response) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const gone = new AbortController();
    const stop = onAbort(signal, () => gone.abort(signal.reason));
    try {
      return await take(await this.#fetch(path, { ...init, signal: gone.signal }));
    } finally {
      stop();
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const token = this.#token ?? (await localTokenFor(this.#base));
    const headers = { ...init.headers, ...(token && { authorization: `Bearer ${token}` }) };
    const attempt = (): Promise<Response> => fetch(`${this.#base}/v1${path}`, { ...init, headers });
    let response: Response;
    try {
      // A connection that was kept open may be closed by the daemon in the moment of asking: asking again is harmless.
      response = await (init.method === 'GET' ? attempt().catch(() => attempt()) : attempt());
    } catch (thrown) {
      init.signal?.throwIfAborted();
      throw new HildaError('DAEMON_UNREACHABLE', `no daemon answers at ${this.#base}`, {
        cause: thrown,
        details: { host: this.#base },
      });
    }
    if (!response.ok) throw fromProblem(await response.json().catch(() => null), response.status);
    return response;
  }
}

/** What is taken of an answer's body. Throws DAEMON_UNREACHABLE where it breaks off. */
async function whole<T>(response: Response, take: () => Promise<T>): Promise<T> {
  try {
    return await take();
  } catch (thrown) {
    // As undici says it; an abort has another name.
    if (!(thrown instanceof TypeError)) throw thrown;
    throw new HildaError('DAEMON_UNREACHABLE', `the answer of ${response.url} broke off`, {
      cause: thrown,
      hint: 'Ask again; look at the log of the daemon where that happens again.',
    });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function read<S extends z.ZodType>(response: Response, schema: S): Promise<z.infer<S>> {
  const text = await whole(response, () => response.text());
  const parsed = schema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new HildaError('INTERNAL', `the daemon's answer to ${response.url} has another shape than expected`, {
    hint: 'The command and the daemon may be of different versions.',
    cause: parsed.error,
  });
}
