import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId, StudyId } from '../core/ids.js';
import type { Store } from '../store/contract.js';
import { deviceSpecs } from './device-spec.js';
import { spaceIdOf } from './earlier-studies.js';
import { inTurnByHost, unlessAborted } from './in-turn.js';
import { externalSampler } from './outside.js';
import type { StudyService } from './service.js';
import { parseStudySpec, type StudySpec } from './spec.js';
import {
  type ChosenWinner,
  cellOf,
  chooseWinners,
  type MatrixCell,
  type MatrixRow,
  standingOf,
} from './specialisation-matrix.js';
import { type SpecialisationRecord, SpecialisationRecords } from './specialisation-records.js';

type Column = SpecialisationRecord['columns'][number];

/** With what the studies say: see `MatrixRow`. Without rows until all searches have ended. */
export interface Specialisation extends SpecialisationRecord {
  /** The least accuracy, a share of 1, that counts as equal; null until all searches have ended. */
  readonly level: number | null;
  readonly rows: readonly MatrixRow[];
}

export interface SpecialisationRequest {
  readonly spec: unknown;
  readonly devices: readonly string[];
  /** Accuracy given up for speed, as a share of 1. */
  readonly slack: number;
  readonly protocol?: string | undefined;
  /** Studies of one device each that are taken as its search, by device; they may have ended. */
  readonly searches?: Readonly<Record<string, string>> | undefined;
}

export interface SpecialisationsOptions {
  readonly store: Store;
  readonly studies: StudyService;
  readonly clock: Clock;
}

/**
 * ProxylessNAS's specialisation table (Cai, Zhu and Han 2019, table 4) on the user's own devices. All it does is done by
 * studies, which hold every trial and measurement; what is kept here is which ones. Devices of one host are searched in
 * turn: an emulator beside a network that is timed would void its times. A daemon that is killed goes on, after `resume`,
 * where the studies stood.
 */
export class Specialisations {
  readonly #options: SpecialisationsOptions;
  readonly #running = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>();
  readonly #records: SpecialisationRecords;

  constructor(options: SpecialisationsOptions) {
    this.#options = options;
    this.#records = new SpecialisationRecords(options.store);
  }

  /** Those that a killed daemon left running become paused, as their studies do. */
  async start(): Promise<void> {
    for (const { id, state } of await this.#records.all())
      if (state === 'running')
        await this.#records.change(id, () => ({
          state: 'paused',
          reason: 'the daemon stopped while it ran',
        }));
  }

  async stop(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { abort } of running) abort.abort(new HildaError('INTERRUPTED', 'the daemon was stopped'));
    await Promise.all(running.map(({ done }) => done));
  }

  /** Throws SPEC_INVALID, DEVICE_UNKNOWN, STUDY_UNKNOWN before anything has started. */
  async create({
    spec,
    devices,
    slack,
    protocol,
    searches = {},
  }: SpecialisationRequest): Promise<Specialisation> {
    const { store, clock } = this.#options;
    const parts = deviceSpecs(spec, devices, await store.devices());
    const given = new Map<DeviceId, StudySpec & { readonly id: StudyId }>();
    for (const id of Object.values(searches)) {
      const study = parseStudySpec((await store.study(id as StudyId)).spec);
      const [device, ...others] = study.devices as DeviceId[];
      if (!device || others.length > 0 || !parts.some(({ deviceId }) => deviceId === device))
        throw new HildaError('SPEC_INVALID', `searches: ${id} is no study of one of these devices alone`, {
          details: { fields: ['searches'] },
        });
      given.set(device, { ...study, id: id as StudyId });
    }
    const columns = parts.map(({ deviceId, host, speed, spec: own }): Column => {
      const study = given.get(deviceId);
      const isOther =
        study &&
        (spaceIdOf(study) !== spaceIdOf(own) || !study.objectives.some(({ metric }) => metric === speed));
      if (isOther)
        throw new HildaError(
          'SPEC_INVALID',
          `searches: ${study.id} searches another space than ${spaceIdOf(own)}, or not for ${speed}`,
          { details: { fields: ['searches'] } },
        );
      return {
        deviceId,
        host,
        speed,
        spec: own as unknown as Column['spec'],
        search: study?.id ?? null,
        winners: null,
      };
    });
    const name = (spec as { readonly name?: string }).name ?? 'specialise';
    const record = await this.#records.add({
      name,
      state: 'running',
      reason: null,
      createdMs: clock.nowMs(),
      slack,
      protocol: protocol ?? null,
      columns,
    });
    this.#launch(record.id);
    return this.show(record.id);
  }

  async list(): Promise<SpecialisationRecord[]> {
    return this.#records.all();
  }

  /** Throws NOT_FOUND. */
  async show(id: string): Promise<Specialisation> {
    const record = await this.#records.get(id);
    const { store } = this.#options;
    const states = await Promise.all(
      record.columns.map(async ({ search }) => search && (await store.study(search)).state),
    );
    if (!states.every((state) => state === 'completed' || state === 'stopped'))
      return { ...record, level: null, rows: [] };
    const { level, winners } = await this.#winners(record);
    const columns = await Promise.all(
      record.columns.map(async (column) => ({ column, cells: await this.#cells(column, winners) })),
    );
    const rows = winners.map(({ deviceId, study, row }, i) => ({
      deviceId,
      study,
      trialNumber: row.trialNumber,
      architectureId: row.architectureId,
      accuracy: row.values.accuracy as number,
      cells: Object.fromEntries(
        columns.map(({ column, cells }) => [column.deviceId, cells[i] as MatrixCell]),
      ) as MatrixRow['cells'],
    }));
    return {
      ...record,
      level,
      rows: rows.map((row) => ({ ...row, standing: standingOf(row, rows, level) })),
    };
  }

  /** Goes on with one that is paused or failed. Throws NOT_FOUND, STATE_CONFLICT. */
  async resume(id: string): Promise<Specialisation> {
    const { state } = await this.#records.get(id);
    if (this.#running.has(id) || (state !== 'paused' && state !== 'failed'))
      throw new HildaError('STATE_CONFLICT', `${id} is ${state}`);
    await this.#records.change(id, () => ({ state: 'running', reason: null }));
    this.#launch(id);
    return this.show(id);
  }

  /** Resolves when it is no longer running here. */
  async settled(id: string): Promise<void> {
    await this.#running.get(id)?.done;
  }

  #launch(id: string): void {
    const abort = new AbortController();
    const done = this.#run(id, abort.signal)
      .then(() => this.#records.change(id, () => ({ state: 'completed', reason: null })))
      .catch((thrown: unknown) => {
        const { code, message } = asHildaError(thrown);
        return abort.signal.aborted
          ? this.#records.change(id, () => ({ state: 'paused', reason: message }))
          : this.#records.change(id, () => ({ state: 'failed', reason: `${code}: ${message}` }));
      })
      .finally(() => this.#running.delete(id));
    this.#running.set(id, { abort, done });
  }

  async #run(id: string, signal: AbortSignal): Promise<void> {
    const record = await this.#records.get(id);
    await inTurnByHost(record.columns, async ({ deviceId, spec, search }) => {
      const study = search ?? (await this.#startStudy(id, deviceId, 'search', spec));
      await this.#finish(study, signal);
    });
    const { winners } = await this.#winners(await this.#records.get(id));
    const distinct = [...new Map(winners.map((one) => [one.row.architectureId, one])).values()];
    await inTurnByHost((await this.#records.get(id)).columns, async ({ deviceId, spec, winners: known }) => {
      const study =
        known ??
        (await this.#startStudy(
          id,
          deviceId,
          'winners',
          winnersSpec(spec, { count: distinct.length, protocol: record.protocol }),
        ));
      await this.#finish(study, signal, distinct);
    });
  }

  async #startStudy(
    id: string,
    deviceId: DeviceId,
    role: 'search' | 'winners',
    spec: unknown,
  ): Promise<StudyId> {
    const study = await this.#options.studies.create(spec);
    await this.#records.change(id, ({ columns }) => ({
      columns: columns.map((column) =>
        column.deviceId === deviceId ? { ...column, [role]: study.id } : column,
      ),
    }));
    return study.id;
  }

  /** Follows a study to its end, resuming it where it had stopped. `offer`: what a study without a sampler is to measure. */
  async #finish(id: StudyId, signal: AbortSignal, offer: readonly ChosenWinner[] = []): Promise<void> {
    const { store, studies } = this.#options;
    const before = await store.study(id);
    if (before.state === 'paused' || before.state === 'failed') await studies.resume(id);
    if (offer.length > 0 && (await store.study(id)).state === 'running') {
      const proposals = await Promise.all(
        offer.map(async ({ deviceId, study, row }) => {
          const [trial] = await store.trials(study, { fromNumber: row.trialNumber, limit: 1 });
          if (!trial) throw new HildaError('NOT_FOUND', `the study ${study} has no trial ${row.trialNumber}`);
          return { architecture: trial.architecture, note: `winner for ${deviceId}` };
        }),
      );
      await studies.ask(id, { n: proposals.length, proposals, waitMs: 0 }, { signal });
    }
    await unlessAborted(studies.settled(id), signal);
    const { state, reason } = await store.study(id);
    if (state !== 'completed' && state !== 'stopped')
      throw new HildaError('STATE_CONFLICT', `the study ${id} is ${state}: ${reason ?? ''}`);
  }

  async #winners({ columns, slack }: SpecialisationRecord) {
    const fronts = await Promise.all(
      columns.map(async ({ deviceId, search, speed }) => {
        const study = search as StudyId;
        return { deviceId, study, speed, front: (await this.#options.studies.fronts(study)).front };
      }),
    );
    return chooseWinners(fronts, slack);
  }

  async #cells({ winners, speed }: Column, chosen: readonly ChosenWinner[]): Promise<MatrixCell[]> {
    const { store } = this.#options;
    const trials = winners === null ? [] : await store.trials(winners);
    return Promise.all(
      chosen.map(async ({ row: { architectureId } }) => {
        const trial = trials.find((one) => one.architectureId === architectureId);
        const [measurement] = Object.values(trial?.measurements ?? {});
        return cellOf(trial, measurement && (await store.measurement(measurement)), speed);
      }),
    );
  }
}

/** The winners, each once, measured as the device's search measures, its limits included. */
function winnersSpec(
  own: unknown,
  { count, protocol }: { readonly count: number; readonly protocol: string | null },
): StudySpec {
  const spec = parseStudySpec(own);
  return {
    ...spec,
    name: `winners: ${spec.name}`.slice(0, 100),
    sampler: { name: externalSampler, options: {} },
    transfer: [],
    predictors: [],
    budget: { trials: count },
    protocol: protocol ?? spec.protocol,
  };
}
