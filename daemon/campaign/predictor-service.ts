import { join } from 'node:path';
import type { Architecture } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId, PredictorId } from '../core/ids.js';
import { speedOf } from '../core/measurement.js';
import { type Target, targetKey } from '../core/target.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { loadProtocol } from '../measure/protocols.js';
import type { Predictions } from '../predict/contract.js';
import {
  type Additivity,
  collectTable,
  type MeasuredParts,
  testAdditivity,
} from '../predict/tables/latency-table.js';
import type { NamedTable, TableFormat } from '../predict/tables/table-formats.js';
import { loadSpace } from '../search/spaces/registry.js';
import type { PredictorRecord, Store } from '../store/contract.js';
import { findSpace } from '../study/parts.js';
import type { NetworkChoice } from './choose-networks.js';
import { collectSamples } from './collect-samples.js';
import { readTables, type StoredTable, type TableFile, tableForSpace } from './imported-table.js';
import { asJson, type PredictorBody, type PredictorSample, readBody } from './predictor-body.js';
import { StoredPredictor } from './stored-predictor.js';

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

export interface ImportRequest {
  readonly files: readonly TableFile[];
  readonly format: TableFormat;
  /** Whose target the table is said to hold for. */
  readonly device: string;
  readonly space: CampaignRequest['space'];
  /** How its networks are measured when it is probed. */
  readonly protocol: string;
}

/** Measuring for a predictor, in the background; what it yields is in the store. */
export interface Campaign {
  readonly id: string;
  readonly state: 'running' | 'done' | 'failed';
  readonly done: number;
  readonly of: number;
  readonly predictorId: PredictorId | null;
  /** Networks that gave no valid measurement, and why. */
  readonly failures: readonly string[];
  /** How many networks were chosen for which reason; empty until the campaign is done. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly error: HildaError | null;
}

export interface PredictorServiceOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'withDevice'>;
  readonly clock: Clock;
  readonly profilesDir: string;
}

/** How tables key a network's parts. */
export type TableKeys = 'operators' | 'blocks' | 'layers';

/** How many stored live residuals are kept. */
const keptLive = 200;

/** Trains predictors by campaigns of measurements, keeps them, asks them, and watches whether they still hold. */
export class PredictorService {
  readonly #options: PredictorServiceOptions;
  readonly #campaigns = new Map<string, { view: Campaign; readonly done: Promise<void> }>();
  readonly #life = new AbortController();
  readonly #ready = new Map<
    PredictorId,
    { readonly updatedMs: number; readonly predictor: StoredPredictor }
  >();

  constructor(options: PredictorServiceOptions) {
    this.#options = options;
  }

  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.allSettled([...this.#campaigns.values()].map(({ done }) => done));
  }

  /** Everything that can be refused is refused here. Throws DEVICE_UNKNOWN, NOT_FOUND, SPACE_INVALID, PROTOCOL_UNKNOWN. */
  async train(request: CampaignRequest): Promise<Campaign> {
    const { store, profilesDir } = this.#options;
    const device = await store.device(request.device as DeviceId);
    const file = typeof request.space === 'string' ? findSpace(request.space, profilesDir) : request.space;
    const space = loadSpace(file);
    const protocol = loadProtocol(request.protocol, join(profilesDir, 'protocols'));
    return this.#launch(request.samples, async (onProgress) => {
      const { samples, records, failures, reasons } = await collectSamples({
        ...this.#options,
        space,
        deviceId: device.id,
        protocol,
        count: request.samples,
        seed: request.seed,
        profile: request.profile,
        ...(request.choice && { choice: request.choice }),
        signal: this.#life.signal,
        onProgress,
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
      const draft = {
        deviceId: device.id,
        target: first.target,
        spaceId: space.id,
        metric: speedOf(first).metric,
        body: asJson(body),
      };
      await this.#open({ ...draft, id: 'draft' as PredictorId, createdMs: 0, updatedMs: 0 });
      return { record: await store.addPredictor(draft), failures, reasons };
    });
  }

  /**
   * Keeps a table that somebody else measured as a predictor of the device that it is said to hold for. Throws
   * TABLE_INVALID, TABLE_INCOMPLETE, TARGET_MISMATCH, SPACE_INVALID, DEVICE_UNKNOWN.
   */
  async importTable({ files, format, device: deviceId, space: named, protocol }: ImportRequest) {
    const { store, profilesDir } = this.#options;
    const device = await store.device(deviceId as DeviceId);
    const file = typeof named === 'string' ? findSpace(named, profilesDir) : named;
    const space = loadSpace(file);
    loadProtocol(protocol, join(profilesDir, 'protocols'));
    const given = readTables(files, format);
    if (given.target !== null && given.target !== targetKey(device.target)) {
      throw new HildaError(
        'TARGET_MISMATCH',
        `${given.source} holds for ${given.target}, and ${device.id} is ${targetKey(device.target)}`,
      );
    }
    const body: PredictorBody = {
      version: 1,
      space: file as PredictorBody['space'],
      provenance: 'imported',
      protocol,
      seed: 1,
      samples: [],
      table: tableForSpace(given, space),
      live: [],
    };
    const record = await store.addPredictor({
      deviceId: device.id,
      target: device.target,
      spaceId: space.id,
      metric: given.unit === 'us' ? 'latencyUs' : given.unit,
      body: asJson(body),
    });
    return this.open(record.id);
  }

  campaign(id: string): Campaign {
    const campaign = this.#campaigns.get(id);
    if (!campaign)
      throw new HildaError('NOT_FOUND', `there is no campaign ${id}`, {
        hint: 'Campaigns are forgotten when the daemon restarts; their measurements are not: start it again.',
      });
    return campaign.view;
  }

  /** The campaign once it has ended, well or not. Throws NOT_FOUND. */
  async finished(id: string): Promise<Campaign> {
    await this.#campaigns.get(id)?.done;
    return this.campaign(id);
  }

  list(): Promise<PredictorRecord[]> {
    return this.#options.store.predictors();
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
    const { store, clock, profilesDir } = this.#options;
    const predictor = await this.open(id);
    const { space, record, body } = predictor;
    const protocol = loadProtocol(body.protocol, join(profilesDir, 'protocols'));
    return this.#launch(count, async (onProgress) => {
      const { samples, failures } = await collectSamples({
        ...this.#options,
        space,
        deviceId: record.deviceId,
        protocol,
        count,
        seed,
        profile: false,
        signal: this.#life.signal,
        fresh: true,
        onProgress,
      });
      const said = predictor.predict(samples.map(({ architecture }) => architecture as Architecture));
      const live = samples.map((sample, i) => ({
        architecture: sample.architecture,
        predicted: said.mean[i] as number,
        low: said.low[i] as number,
        high: said.high[i] as number,
        measured: sample.value,
        atMs: clock.nowMs(),
      }));
      const now = readBody(await store.predictor(id));
      const next = { ...now, live: [...now.live, ...live].slice(-keptLive) };
      return { record: await store.updatePredictor(id, asJson(next)), failures };
    });
  }

  /** Learns from the live measurements alone when the target drifted, else from all; the alarm starts anew. */
  async refit(id: PredictorId): Promise<StoredPredictor> {
    const { store } = this.#options;
    const predictor = await this.open(id);
    const { body } = predictor;
    const live = body.live.map(
      ({ architecture, measured }): PredictorSample => ({
        architecture,
        structureHash: '',
        measurementId: '',
        value: measured,
        parts: [],
        blocks: [],
      }),
    );
    const drifted = predictor.drift().state === 'drifted';
    const shift = drifted ? Math.exp(predictor.drift().shift) : 1;
    // Old networks keep their order among each other: moved by the common shift, they still tell shapes apart.
    const samples = [
      ...body.samples.map((sample) => (shift === 1 ? sample : { ...sample, value: sample.value * shift })),
      ...live,
    ];
    await store.updatePredictor(id, asJson({ ...body, samples, live: [] }));
    return this.open(id);
  }

  /**
   * By operators unless told otherwise; an imported one by what it came with, its additivity unknown. Throws
   * PREDICTOR_UNFIT where nothing was profiled, or a table has other keys.
   */
  async table(
    id: PredictorId,
    wanted?: TableKeys,
  ): Promise<{ readonly named: NamedTable; readonly additivity: Additivity | null }> {
    const record = await this.#options.store.predictor(id);
    const body = readBody(record);
    if (body.table) return { named: importedTable(record, body.table, wanted), additivity: null };
    const keys = wanted ?? 'operators';
    const networks = partsBy(body, keys);
    if (networks.length === 0) {
      throw new HildaError('PREDICTOR_UNFIT', `${id} has no ${keys} to make a table of`, {
        hint: 'Build one with `hilda lut build` on a device that profiles operators; blocks and layers need an mbconv space.',
      });
    }
    return {
      named: {
        table: collectTable(networks),
        unit:
          record.metric === 'instructions'
            ? 'instructions'
            : body.provenance === 'emulated'
              ? 'cycles'
              : 'us',
        target: targetKey(record.target),
        provenance: body.provenance === 'emulated' ? 'emulated' : 'measured',
        source: `hilda ${id}`,
      },
      additivity: testAdditivity(networks),
    };
  }

  async #open(record: PredictorRecord): Promise<StoredPredictor> {
    const others = (await this.#options.store.predictors()).filter(
      (other) =>
        other.id !== record.id &&
        other.spaceId === record.spaceId &&
        other.metric === record.metric &&
        targetKey(other.target) !== targetKey(record.target),
    );
    // A damaged neighbour must not keep a sound predictor from answering.
    const sources = others.flatMap((other) => {
      try {
        return [new StoredPredictor(other)];
      } catch {
        return [];
      }
    });
    return new StoredPredictor(record, sources);
  }

  #launch(
    of: number,
    work: (onProgress: (done: number, of: number) => void) => Promise<{
      readonly record: PredictorRecord;
      readonly failures: readonly string[];
      readonly reasons?: Campaign['reasons'];
    }>,
  ): Campaign {
    const id = String(this.#campaigns.size + 1);
    let view: Campaign = {
      id,
      state: 'running',
      done: 0,
      of,
      predictorId: null,
      failures: [],
      reasons: {},
      error: null,
    };
    const show = (change: Partial<Campaign>): void => {
      view = { ...view, ...change };
      const entry = this.#campaigns.get(id);
      if (entry) entry.view = view;
    };
    const done = work((count, total) => show({ done: count, of: total })).then(
      ({ record, failures, reasons = {} }) =>
        show({ state: 'done', predictorId: record.id, failures, reasons }),
      (thrown: unknown) => show({ state: 'failed', error: asHildaError(thrown) }),
    );
    this.#campaigns.set(id, { view, done });
    return view;
  }
}

function importedTable(
  { id, target }: PredictorRecord,
  { keys, entries, unit, source }: StoredTable,
  wanted: TableKeys = keys,
): NamedTable {
  if (wanted !== keys)
    throw new HildaError('PREDICTOR_UNFIT', `${id} is an imported table of ${keys}, and has no ${wanted}`);
  const table = new Map(entries.map(({ key, ...entry }) => [key, entry]));
  return { table, unit, target: targetKey(target), provenance: 'imported', source };
}

function partsBy(body: PredictorBody, keys: TableKeys): MeasuredParts[] {
  return body.samples.flatMap(({ parts, blocks, value }): MeasuredParts[] => {
    if (keys === 'operators') return parts.length > 0 ? [{ parts, whole: value }] : [];
    if (blocks.length === 0) return [];
    return keys === 'blocks'
      ? [{ parts: blocks.map(({ key, cost }) => ({ key, cost })), whole: value }]
      : [
          {
            parts: blocks.map(({ key, cost, layer, choice }) => ({
              key: layer === null ? key : `${layer} ${choice}`,
              cost,
            })),
            whole: value,
          },
        ];
  });
}
