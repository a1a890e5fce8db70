import { join } from 'node:path';
import type { Architecture } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId, PredictorId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { speedOf } from '../core/measurement.js';
import type { Target } from '../core/target.js';
import type { CampaignContext, CampaignWork } from '../jobs/campaigns.js';
import type { Jobs } from '../jobs/jobs.js';
import { loadProtocol } from '../measure/protocols.js';
import { noParts, type PureParts } from '../plugins/pure-parts.js';
import type { Predictions } from '../predict/contract.js';
import type { DataReading } from '../reading/contract.js';
import { readHere } from '../reading/read-here.js';
import { loadSpace } from '../search/spaces/registry.js';
import type { CampaignRecord } from '../store/campaign-contract.js';
import type { PredictorRecord, Store } from '../store/contract.js';
import { findSpace } from '../study/parts.js';
import { type Campaign, type CampaignPort, viewCampaign } from './campaigns.js';
import type { NetworkChoice } from './choose-networks.js';
import { collectSamples } from './collect-samples.js';
import { type ExportedTable, exportTable, type TableKeys } from './export-table.js';
import { type ImportRequest, importTable } from './import-table.js';
import { KeptInsights } from './kept-insights.js';
import { openPredictor, sourcesOf } from './open-predictor.js';
import { asJson, type PredictorBody, readBody } from './predictor-body.js';
import { learntFromLive, withLive } from './predictor-changes.js';
import type { PredictorInsight } from './predictor-insight.js';
import type { StoredPredictor } from './stored-predictor.js';

export interface CampaignRequest {
  readonly device: string;
  /** A name under profiles/spaces, or a space file's content. */
  readonly space: string | { readonly kind: string };
  readonly samples: number;
  readonly seed: number;
  readonly protocol: string;
  /** How the networks after the first twenty are chosen; default `random`. */
  readonly choice?: NetworkChoice;
  /** Whether each network is profiled by operator, for a table. */
  readonly profile: boolean;
}

export interface PredictorServiceOptions {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly campaigns: CampaignPort;
  readonly clock: Clock;
  readonly profilesDir: string;
  /** Decodes imported tables; this process by default. */
  readonly reading?: DataReading;
  /** Spaces and models of plug-ins. */
  readonly pure?: PureParts;
}

interface ProbeRequest {
  readonly predictor: PredictorId;
  readonly count: number;
  readonly seed: number;
}

/** Trains predictors by campaigns of measurements, keeps them, asks them, and watches whether they still hold. */
export class PredictorService {
  readonly #options: PredictorServiceOptions;
  readonly #ready = new Map<
    PredictorId,
    { readonly updatedMs: number; readonly predictor: StoredPredictor }
  >();

  readonly #insights: KeptInsights;

  constructor(options: PredictorServiceOptions) {
    this.#options = options;
    this.#insights = new KeptInsights(options.store, options.pure?.from);
    const { campaigns } = options;
    campaigns.define('train', (campaign, context) => this.#train(campaign, context));
    campaigns.define('probe', (campaign, context) => this.#probe(campaign, context));
  }

  /** Everything that can be refused is refused here. Throws DEVICE_UNKNOWN, NOT_FOUND, SPACE_INVALID, PROTOCOL_UNKNOWN. */
  async train(request: CampaignRequest): Promise<Campaign> {
    const { file } = await this.#asked(request);
    // The space as it is now: a file may change before a campaign goes on.
    const kept = { ...request, space: file } as unknown as Json;
    return viewCampaign(await this.#options.campaigns.launch('train', kept, request.samples));
  }

  async #asked(request: CampaignRequest) {
    const { store, profilesDir, pure = noParts } = this.#options;
    const device = await store.device(request.device as DeviceId);
    const file = typeof request.space === 'string' ? findSpace(request.space, profilesDir) : request.space;
    const protocol = loadProtocol(request.protocol, join(profilesDir, 'protocols'));
    return { device, file, space: loadSpace(file, undefined, pure.spaces), protocol };
  }

  async #train(campaign: CampaignRecord, context: CampaignContext): ReturnType<CampaignWork> {
    const request = campaign.request as unknown as CampaignRequest;
    const { device, file, space, protocol } = await this.#asked(request);
    const { samples, records, failures, reasons } = await collectSamples({
      ...this.#options,
      ...context,
      space,
      deviceId: device.id,
      protocol,
      count: request.samples,
      seed: request.seed,
      profile: request.profile,
      ...(request.choice && { choice: request.choice }),
    });
    const [first] = records;
    if (!first) throw new HildaError('PREDICTOR_UNFIT', 'no network gave a valid measurement');
    const body: PredictorBody = {
      version: 1,
      space: file as PredictorBody['space'],
      provenance: first.provenance,
      protocol: protocol.name,
      seed: request.seed,
      samples: [...samples],
      live: [],
    };
    // A fit before it is stored: what cannot be learnt from is no predictor.
    const predictor = {
      deviceId: device.id,
      target: first.target,
      spaceId: space.id,
      metric: speedOf(first).metric,
      body: asJson(body),
    };
    await this.#open({ ...predictor, id: 'draft' as PredictorId, createdMs: 0, updatedMs: 0 });
    return { predictor, result: { failures: [...failures], reasons: { ...reasons } } };
  }

  /**
   * Keeps a table that somebody else measured as a predictor of the device that it is said to hold for. Throws
   * TABLE_INVALID, TABLE_INCOMPLETE, TARGET_MISMATCH, SPACE_INVALID, DEVICE_UNKNOWN.
   */
  async importTable(request: ImportRequest): Promise<StoredPredictor> {
    const { store, profilesDir, reading = readHere } = this.#options;
    const device = await store.device(request.device as DeviceId);
    const record = await store.addPredictor(await importTable(request, device, { profilesDir, reading }));
    return this.open(record.id);
  }

  /** Throws NOT_FOUND. */
  async campaign(id: string): Promise<Campaign> {
    return viewCampaign(await this.#options.campaigns.show(id));
  }

  /** The campaign once it has ended, well or not. Throws NOT_FOUND. */
  async finished(id: string): Promise<Campaign> {
    return viewCampaign(await this.#options.campaigns.finished(id));
  }

  list(): Promise<PredictorRecord[]> {
    return this.#options.store.predictors();
  }

  /** What there is to show of a predictor, without fitting it here. Throws PREDICTOR_UNKNOWN, PREDICTOR_CORRUPT. */
  async insight(
    id: PredictorId,
  ): Promise<{ readonly record: PredictorRecord; readonly insight: PredictorInsight }> {
    const record = await this.#options.store.predictor(id);
    return { record, insight: await this.#insights.of(record) };
  }

  async open(id: PredictorId): Promise<StoredPredictor> {
    const record = await this.#options.store.predictor(id);
    const known = this.#ready.get(id);
    if (known?.updatedMs === record.updatedMs) return known.predictor;
    const predictor = await this.#open(record);
    this.#ready.set(id, { updatedMs: record.updatedMs, predictor });
    return predictor;
  }

  /** With a device named, its target must be the predictor's: TARGET_MISMATCH says which key differs. */
  async predict(id: PredictorId, architectures: readonly Architecture[], device?: string) {
    const predictor = await this.open(id);
    const target: Target | undefined =
      device === undefined ? undefined : (await this.#options.store.device(device as DeviceId)).target;
    return predictor.predict(architectures, target);
  }

  /** What a study of the same space, metric and target may start from. Throws what `StoredPredictors` names. */
  async prior(
    id: PredictorId,
    about: { readonly spaceId: string; readonly metric: string; readonly deviceId: DeviceId },
  ): Promise<(architectures: readonly Architecture[]) => Predictions> {
    const predictor = await this.open(id);
    const { record, body } = predictor;
    if (record.spaceId !== about.spaceId || record.metric !== about.metric) {
      throw new HildaError(
        'SPEC_INVALID',
        `${id} predicts ${record.metric} of ${record.spaceId}, not ${about.metric} of ${about.spaceId}`,
        { details: { fields: ['predictors'] } },
      );
    }
    const missing = body.table?.missing ?? [];
    if (missing.length > 0)
      throw new HildaError(
        'TABLE_INCOMPLETE',
        `${id} lacks ${missing.length} keys of ${record.spaceId}: ${missing.slice(0, 3).join('; ')}`,
        { details: { missing } },
      );
    const { target } = await this.#options.store.device(about.deviceId);
    predictor.predict([], target);
    return (architectures) => predictor.predict(architectures, target);
  }

  /**
   * Measures networks that the predictor has not seen, and keeps what it had said of them beside what they took: what a
   * schedule runs each night.
   */
  async probe(id: PredictorId, count: number, seed: number): Promise<Campaign> {
    await this.open(id);
    const request: ProbeRequest = { predictor: id, count, seed };
    return viewCampaign(await this.#options.campaigns.launch('probe', request as unknown as Json, count));
  }

  /** What was measured since the campaign began counts: a daemon that goes on with it measures the rest. */
  async #probe(campaign: CampaignRecord, context: CampaignContext): ReturnType<CampaignWork> {
    const { store, clock, profilesDir } = this.#options;
    const { predictor: id, count, seed } = campaign.request as unknown as ProbeRequest;
    const predictor = await this.open(id);
    const { space, record, body } = predictor;
    const { samples, failures } = await collectSamples({
      ...this.#options,
      ...context,
      space,
      deviceId: record.deviceId,
      protocol: loadProtocol(body.protocol, join(profilesDir, 'protocols')),
      count,
      seed,
      profile: false,
      recallSinceMs: campaign.createdMs,
    });
    const said = predictor.predict(samples.map(({ architecture }) => architecture as Architecture));
    const next = withLive(readBody(await store.predictor(id)), samples, said, clock.nowMs());
    return { changed: { id, body: asJson(next) }, result: { predictorId: id, failures: [...failures] } };
  }

  /** Learns from the live measurements alone when the target drifted, else from all; the alarm starts anew. */
  async refit(id: PredictorId): Promise<StoredPredictor> {
    const { store } = this.#options;
    const predictor = await this.open(id);
    const { state, shift } = predictor.drift();
    const next = learntFromLive(predictor.body, state === 'drifted' ? Math.exp(shift) : 1);
    await store.updatePredictor(id, asJson(next));
    return this.open(id);
  }

  /**
   * By operators unless told otherwise; an imported one by what it came with, its additivity unknown. Throws
   * PREDICTOR_UNFIT where nothing was profiled, or a table has other keys.
   */
  async table(id: PredictorId, wanted?: TableKeys): Promise<ExportedTable> {
    return exportTable(await this.#options.store.predictor(id), wanted);
  }

  async #open(record: PredictorRecord): Promise<StoredPredictor> {
    const { store, pure = noParts } = this.#options;
    return openPredictor(record, sourcesOf(record, await store.predictors()), pure);
  }
}
