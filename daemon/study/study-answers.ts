import type { Clock } from '../core/clock.js';
import type { StudyId } from '../core/ids.js';
import { type Decision, decisionsOf } from '../search/spaces/parts/decisions.js';
import { loadSpace, type SpacePlugin } from '../search/spaces/registry.js';
import { type Store, type StudyRecord, type TrialRecord, trialStates } from '../store/contract.js';
import { oneTrial } from '../store/one-trial.js';
import type { Beside } from './beside.js';
import { type DeviceCoverage, lacking } from './coverage.js';
import { compareTrials, type Fronts, frontMembers, frontsOf } from './front-rows.js';
import { KeptFronts } from './kept-fronts.js';
import type { LateStates } from './late-states.js';
import { parseStudySpec, type StudySpec } from './spec.js';
import type { Standing } from './standing.js';
import { Standings } from './standings.js';
import { timeLeft } from './time-left.js';

export interface StudySummary {
  readonly record: StudyRecord;
  readonly budgetTrials: number;
  readonly told: number;
  readonly asked: number;
  readonly complete: number;
  readonly infeasible: number;
  readonly failed: number;
  readonly frontSize: number;
  /** Share of the box between reference and ideal point, 0 to 1; see `Standing.hypervolume`. */
  readonly hypervolume: number;
  /** One entry a device of the study, in its order. */
  readonly devices: readonly DeviceCoverage[];
  /** Time left at the pace so far and within its budget; null before the first trial, after the last, and when not running. */
  readonly etaMs: number | null;
  /** Trials that will have ended then: fewer than the budget's where its time is up before. Null where `etaMs` is. */
  readonly expectedTrials: number | null;
}

export interface StudyDecisions {
  readonly spaceId: string;
  /** Null where the space has no fixed list of them. */
  readonly decisions: readonly Decision[] | null;
}

export interface StudyAnswersOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly late: LateStates;
  /** Of plug-ins. */
  readonly spaces: readonly SpacePlugin[];
  /** Since when a study runs in this process, and how many trials had ended by then; undefined while it does not run. */
  readonly running: (id: StudyId) => { readonly startedMs: number; readonly toldAtStart: number } | undefined;
}

/** Answers what studies know: how they stand, their fronts, their trials beside each other. Changes nothing. */
export class StudyAnswers {
  readonly #options: StudyAnswersOptions;
  readonly #standings: Standings;
  readonly #fronts = new KeptFronts();

  constructor(options: StudyAnswersOptions) {
    this.#options = options;
    this.#standings = new Standings(options.store);
  }

  async list(): Promise<StudyRecord[]> {
    const { store, late } = this.#options;
    return (await store.studies()).map((record) => late.known(record));
  }

  /** As far as it is known: its row may lag behind. */
  async record(id: StudyId): Promise<StudyRecord> {
    return this.#options.late.known(await this.#options.store.study(id));
  }

  standing(id: StudyId, spec: StudySpec): Promise<Standing> {
    return this.#standings.of(id, spec);
  }

  /** What measurements a study lacks, in words; null where it lacks none. */
  async lacking(id: StudyId, spec: StudySpec): Promise<string | null> {
    return lacking((await this.standing(id, spec)).coverage);
  }

  async show(id: StudyId): Promise<StudySummary> {
    const { clock } = this.#options;
    const record = await this.record(id);
    const spec = storedSpec(record);
    const standing = await this.standing(id, spec);
    const [asked, complete, infeasible, failed] = trialStates.map((state) => standing.count(state)) as [
      number,
      number,
      number,
      number,
    ];
    const finished = complete + infeasible + failed;
    const running = this.#options.running(id);
    const { etaMs, reached } = running
      ? timeLeft({
          nowMs: clock.nowMs(),
          startedMs: running.startedMs,
          ended: finished - running.toldAtStart,
          left: Math.max(0, spec.budget.trials - finished),
          maxMinutes: spec.budget.maxMinutes,
        })
      : { etaMs: null, reached: null };
    return {
      record,
      budgetTrials: spec.budget.trials,
      told: standing.told,
      asked,
      complete,
      infeasible,
      failed,
      frontSize: standing.frontSize,
      hypervolume: standing.hypervolume,
      devices: standing.coverage,
      etaMs,
      expectedTrials: reached === null ? null : finished + reached,
    };
  }

  async fronts(id: StudyId): Promise<Fronts> {
    const { store } = this.#options;
    const spec = storedSpec(await store.study(id));
    const members = await frontMembers(id, await this.#standings.of(id, spec), store);
    return this.#fronts.of(id, members, () =>
      frontsOf(members, { spec, space: loadSpace(spec.space, undefined, this.#options.spaces), store }),
    );
  }

  async decisions(id: StudyId): Promise<StudyDecisions> {
    const space = loadSpace(
      storedSpec(await this.#options.store.study(id)).space,
      undefined,
      this.#options.spaces,
    );
    return { spaceId: space.id, decisions: decisionsOf(space) ?? null };
  }

  /** A trial of the study beside another one. Throws NOT_FOUND. */
  async compare(id: StudyId, numbers: readonly [number, number]): Promise<Beside[]> {
    const { store } = this.#options;
    const spec = storedSpec(await store.study(id));
    const [a, b] = await Promise.all(numbers.map((number) => oneTrial(id, number, store)));
    return compareTrials([a as TrialRecord, b as TrialRecord], { spec, store });
  }
}

/** The specification that a study was stored with. */
export const storedSpec = (record: StudyRecord): StudySpec => parseStudySpec(record.spec);
