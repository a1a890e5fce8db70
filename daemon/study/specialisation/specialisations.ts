import { join } from 'node:path';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { SpecialisationId } from '../../core/ids.js';
import type { Json } from '../../core/json.js';
import { loadProtocol } from '../../measure/protocols.js';
import type { SpecialisationRecord, Store } from '../../store/contract.js';
import type { StudyService } from '../service.js';
import { planSpecialisation, type SpecialisationRequest } from './plan.js';
import { specialisationOf, summaryOf } from './progress.js';
import { runSpecialisation } from './run.js';
import type { Specialisation, SpecialisationSummary } from './shapes.js';

export interface SpecialisationsOptions {
  readonly store: Store;
  readonly studies: StudyService;
  /** The folder that holds protocols/. */
  readonly profilesDir: string;
}

/**
 * ProxylessNAS's specialisation table (Cai, Zhu and Han 2019, table 4) on the user's own devices, whose searches share what they
 * found. All it does is done by studies, which hold every trial and measurement and say which part of it they are. A daemon
 * that is killed goes on, after `resume`, where the studies stood.
 */
export class Specialisations {
  readonly #options: SpecialisationsOptions;
  readonly #running = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>();

  constructor(options: SpecialisationsOptions) {
    this.#options = options;
  }

  /** Those that a killed daemon left running become paused, as their studies do. */
  async start(): Promise<void> {
    const { store } = this.#options;
    for (const { id, state } of await store.specialisations())
      if (state === 'running')
        await store.setSpecialisationState(id, 'paused', 'the daemon stopped while it ran');
  }

  async stop(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { abort } of running) abort.abort(new HildaError('INTERRUPTED', 'the daemon was stopped'));
    await Promise.all(running.map(({ done }) => done));
  }

  /** Throws SPEC_INVALID, DEVICE_UNKNOWN, STUDY_UNKNOWN, PROTOCOL_UNKNOWN before anything has started. */
  async create(request: SpecialisationRequest): Promise<Specialisation> {
    const { store, profilesDir } = this.#options;
    const plan = await planSpecialisation(request, store);
    if (plan.protocol !== null) loadProtocol(plan.protocol, join(profilesDir, 'protocols'));
    const name = (request.spec as { readonly name?: string }).name ?? 'specialise';
    const record = await store.addSpecialisation({ name, body: plan as Json });
    this.#launch(record.id);
    return specialisationOf(record, this.#options);
  }

  /** Oldest first. */
  async list(): Promise<SpecialisationSummary[]> {
    const { store } = this.#options;
    return Promise.all((await store.specialisations()).map((record) => summaryOf(record, store)));
  }

  /** Throws NOT_FOUND. */
  async show(id: SpecialisationId): Promise<Specialisation> {
    return specialisationOf(await this.#options.store.specialisation(id), this.#options);
  }

  /** Goes on with one that is paused or failed. Throws NOT_FOUND, STATE_CONFLICT. */
  async resume(id: SpecialisationId): Promise<Specialisation> {
    const { store } = this.#options;
    const { state } = await store.specialisation(id);
    if (this.#running.has(id) || (state !== 'paused' && state !== 'failed'))
      throw new HildaError('STATE_CONFLICT', `${id} is ${state}`);
    const record = await store.setSpecialisationState(id, 'running');
    this.#launch(id);
    return specialisationOf(record, this.#options);
  }

  /** Resolves when it is no longer running here. */
  async settled(id: SpecialisationId): Promise<void> {
    await this.#running.get(id)?.done;
  }

  #launch(id: SpecialisationId): void {
    const { store, studies } = this.#options;
    const abort = new AbortController();
    const end = (state: SpecialisationRecord['state'], reason: string | null) =>
      store.setSpecialisationState(id, state, reason);
    const done = runSpecialisation(id, { store, studies, signal: abort.signal })
      .then(() => end('completed', null))
      .catch((thrown: unknown) => {
        const { code, message } = asHildaError(thrown);
        return abort.signal.aborted ? end('paused', message) : end('failed', `${code}: ${message}`);
      })
      // A store that takes no writes: the next start finds it running, and makes it paused.
      .then(
        () => {},
        () => {},
      )
      .finally(() => this.#running.delete(id));
    this.#running.set(id, { abort, done });
  }
}
