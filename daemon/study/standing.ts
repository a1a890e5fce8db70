import { z } from 'zod';
import type { DeviceId } from '../core/ids.js';
import { costMetrics } from '../core/measurement.js';
import { hypervolume } from '../search/pareto/hypervolume.js';
import { type NumberedPoint, WholeFront } from '../search/pareto/whole-front.js';
import type { Objective } from '../search/samplers/contract.js';
import { type TrialColumns, type TrialRecord, trialStates } from '../store/contract.js';
import type { DeviceCoverage } from './coverage.js';
import { deviceMetric, deviceOf, floatAccuracy, type StudySpec } from './spec.js';

const membersSchema = z.array(z.strictObject({ number: z.number().int(), point: z.array(z.number()) }));

/** What is counted of one device's values, over complete trials unless it says otherwise. */
interface DeviceCounts {
  /** Trials of any state that have its costs. */
  measured: number;
  lackCosts: number;
  /** Those that lack its costs, or accuracy as it runs the network. */
  lackAny: number;
  /** Trials that know accuracy as it runs the network. */
  known: number;
}

/** What was counted so far, as JSON: a standing goes on from it. */
export const standingSchema = z.strictObject({
  states: z.array(z.number().int()).length(trialStates.length),
  told: z.number().int(),
  floatKnown: z.number().int(),
  devices: z.array(
    z.strictObject({
      measured: z.number().int(),
      lackCosts: z.number().int(),
      lackAny: z.number().int(),
      known: z.number().int(),
    }),
  ),
  joint: membersSchema,
  /** By device: the metrics, in the order of the objectives, and the members. */
  fronts: z.array(z.strictObject({ metrics: z.array(z.string()), members: membersSchema })),
  worst: z.array(z.number()).nullable(),
  first: z.array(z.number()).nullable(),
});
export type StandingState = z.infer<typeof standingSchema>;

/** One front, and by which objectives. */
interface Front {
  readonly objectives: readonly Objective[];
  readonly front: WholeFront;
}

const stateCount = trialStates.length;
const complete = trialStates.indexOf('complete');

/**
 * How a study stands: its counts, its fronts, its hypervolume. Trials are added in the order of their numbers, in pieces of
 * any length; what comes of it is what looking at all of them at once would give (`front.ts`, `coverage.ts`).
 */
export class Standing {
  readonly #spec: StudySpec;
  readonly #states = new Array<number>(stateCount).fill(0);
  #told = 0;
  #floatKnown = 0;
  #devices: DeviceCounts[];
  #joint: WholeFront;
  /** One a device; none for a study of one device. */
  #fronts: Front[] = [];
  /** The worst of the first batch in each objective, and the first trial at all. */
  #worst: readonly number[] | undefined;
  #first: readonly number[] | undefined;
  /** What was added, so that a front whose objectives change can be made anew; null where it goes on from a state. */
  #pieces: TrialColumns[] | null;
  #isOutdated = false;

  constructor(spec: StudySpec, other?: Standing) {
    this.#spec = spec;
    this.#devices = spec.devices.map((_, i) =>
      other
        ? { ...(other.#devices[i] as DeviceCounts) }
        : { measured: 0, lackCosts: 0, lackAny: 0, known: 0 },
    );
    this.#joint = other ? other.#joint.clone() : new WholeFront();
    this.#pieces = other ? other.#pieces && [...other.#pieces] : [];
    if (!other) {
      this.#remakeFronts();
      return;
    }
    this.#states = [...other.#states];
    this.#told = other.#told;
    this.#floatKnown = other.#floatKnown;
    this.#fronts = other.#fronts.map(({ objectives, front }) => ({ objectives, front: front.clone() }));
    this.#worst = other.#worst;
    this.#first = other.#first;
    this.#isOutdated = other.#isOutdated;
  }

  /** Goes on from what an earlier one had counted; undefined where that was another study's. */
  static from(spec: StudySpec, state: StandingState): Standing | undefined {
    const standing = new Standing(spec);
    if (state.devices.length !== spec.devices.length) return undefined;
    for (const [i, count] of state.states.entries()) standing.#states[i] = count;
    standing.#told = state.told;
    standing.#floatKnown = state.floatKnown;
    standing.#devices = state.devices.map((counts) => ({ ...counts }));
    standing.#joint = new WholeFront(state.joint);
    standing.#worst = state.worst ?? undefined;
    standing.#first = state.first ?? undefined;
    standing.#pieces = null;
    if (spec.devices.length > 1)
      standing.#fronts = state.fronts.map(({ members }, index) => ({
        objectives: standing.#objectivesOf(index),
        front: new WholeFront(members),
      }));
    const isSame = standing.#fronts.every(({ objectives }, i) =>
      sameMetrics(
        objectives,
        (state.fronts[i]?.metrics ?? []).map((metric) => ({ metric })),
      ),
    );
    return isSame && standing.#fronts.length === state.fronts.length ? standing : undefined;
  }

  get state(): StandingState {
    return {
      states: [...this.#states],
      told: this.#told,
      floatKnown: this.#floatKnown,
      devices: this.#devices.map((counts) => ({ ...counts })),
      joint: membersOf(this.#joint),
      fronts: this.#fronts.map(({ objectives, front }) => ({
        metrics: objectives.map(({ metric }) => metric),
        members: membersOf(front),
      })),
      worst: this.#worst ? [...this.#worst] : null,
      first: this.#first ? [...this.#first] : null,
    };
  }

  /** A front has to be made anew from pieces that are not here: the standing counts no more. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** Apart from this one from now on. */
  clone(): Standing {
    return new Standing(this.#spec, this);
  }

  add(piece: TrialColumns): void {
    const { devices, batch, objectives } = this.#spec;
    this.#pieces?.push(piece);
    const { length, states, told, values } = piece;
    const totals = this.#states;
    for (let i = 0; i < length; i++) {
      const state = states[i] as number;
      totals[state] = (totals[state] as number) + 1;
      this.#told += told[i] as number;
    }
    const whole = new Uint8Array(length).fill(1);
    for (let d = 0; d < devices.length; d++) {
      const costs = knownIn(
        piece,
        costMetrics.map((metric) => deviceMetric(metric, this.#spec, d)),
      );
      const own = knownIn(piece, [deviceMetric('accuracy', this.#spec, d)]);
      const counts = this.#devices[d] as DeviceCounts;
      for (let i = 0; i < length; i++) {
        const hasCosts = costs[i] === 1;
        if (hasCosts) counts.measured++;
        else whole[i] = 0;
        if (states[i] !== complete) continue;
        const isKnown = own[i] === 1;
        if (isKnown) counts.known++;
        if (!hasCosts) counts.lackCosts++;
        if (!hasCosts || !isKnown) counts.lackAny++;
      }
    }
    if (values.has(floatAccuracy)) {
      const known = knownIn(piece, [floatAccuracy]);
      for (let i = 0; i < length; i++) if (states[i] === complete) this.#floatKnown += known[i] as number;
    }
    eachPoint(piece, objectives, (i, point) => {
      if (whole[i] === 0) return;
      const number = piece.from + i;
      this.#joint.add(number, point);
      this.#first ??= [...point];
      if (number >= batch) return;
      const worst = this.#worst;
      this.#worst = worst ? point.map((value, k) => Math.max(value, worst[k] as number)) : [...point];
    });
    this.#addToFronts(piece);
  }

  count(state: TrialRecord['state']): number {
    return this.#states[trialStates.indexOf(state)] as number;
  }

  get told(): number {
    return this.#told;
  }

  get trials(): number {
    return this.#states.reduce((sum, count) => sum + count, 0);
  }

  /** See `coverage`. */
  get coverage(): DeviceCoverage[] {
    const asked = new Set([...this.#spec.objectives, ...this.#spec.constraints].map(({ metric }) => metric));
    return this.#devices.map(({ measured, lackCosts, lackAny, known }, index) => {
      const isWanted = known > 0 || asked.has(deviceMetric('accuracy', this.#spec, index));
      return {
        deviceId: this.#spec.devices[index] as DeviceId,
        measured,
        missing: isWanted ? lackAny : lackCosts,
      };
    });
  }

  /** Numbers of the trials on the front of all devices together, best first in the first objective. */
  get jointFront(): readonly number[] {
    return numbersOf(this.#joint.members);
  }

  get frontSize(): number {
    return this.#joint.size;
  }

  /** By device, where the study has several. */
  get deviceFronts(): readonly {
    readonly objectives: readonly Objective[];
    readonly numbers: readonly number[];
  }[] {
    return this.#fronts.map(({ objectives, front }) => ({ objectives, numbers: numbersOf(front.members) }));
  }

  /**
   * Share, 0 to 1, of the box between the reference and the ideal point that the front dominates. The reference is the
   * worst value of each objective among the whole trials of the first batch, so it moves only where one of them is caught
   * up later, and the share only grows before that; the ideal is 0 for what is minimised and 1 for what is maximised
   * (accuracies are shares of 1).
   */
  get hypervolume(): number {
    const { objectives } = this.#spec;
    const reference = this.#worst ?? this.#first;
    if (!reference || objectives.length < 2) return 0;
    const ideal = objectives.map(({ goal }) => (goal === 'min' ? 0 : -1));
    const box = reference.reduce((product, value, i) => product * (value - (ideal[i] as number)), 1);
    return box > 0
      ? hypervolume(
          this.#joint.members.map(({ point }) => point),
          reference,
        ) / box
      : 0;
  }

  #addToFronts(piece: TrialColumns): void {
    for (const { objectives, front } of this.#fronts)
      eachPoint(piece, objectives, (i, point) => front.add(piece.from + i, point));
    this.#remakeFronts();
  }

  /** A front whose objectives are others by now is made anew from all pieces: that happens with the first values known. */
  #remakeFronts(): void {
    if (this.#spec.devices.length < 2) return;
    this.#fronts = this.#spec.devices.map((_, index) => {
      const objectives = this.#objectivesOf(index);
      const known = this.#fronts[index];
      if (known && sameMetrics(known.objectives, objectives)) return known;
      if (!this.#pieces) this.#isOutdated = true;
      const front = new WholeFront();
      for (const piece of this.#pieces ?? [])
        eachPoint(piece, objectives, (i, point) => front.add(piece.from + i, point));
      return { objectives, front };
    });
  }

  /** The study's as one device sees them: accuracy as it runs the network, and no other device's costs. */
  #objectivesOf(index: number): Objective[] {
    const own = this.#accuracyMetric(index);
    const hides = this.hidesAccuracy(index);
    return this.#spec.objectives
      .map((objective) => (objective.metric === 'accuracy' ? { ...objective, metric: own } : objective))
      .filter(({ metric }) => isSeenBy(index, metric, hides, this.#spec));
  }

  /** Where the first device runs an int8 network, `accuracy` is that network's, and no other device's. */
  hidesAccuracy(index: number): boolean {
    return index > 0 && this.#floatKnown > 0;
  }

  /** By what name the trials know accuracy as a device runs the network: int8 where it does, float else. */
  #accuracyMetric(index: number): string {
    if ((this.#devices[index] as DeviceCounts).known > 0) return deviceMetric('accuracy', this.#spec, index);
    return this.#floatKnown > 0 ? floatAccuracy : 'accuracy';
  }
}

/** Whether a metric belongs to what one device says. `hidesAccuracy`: as `Standing.hidesAccuracy`. */
export const isSeenBy = (index: number, metric: string, hidesAccuracy: boolean, spec: StudySpec): boolean =>
  [index, undefined].includes(deviceOf(metric, spec)) && !(metric === 'accuracy' && hidesAccuracy);

/** 1 where a trial knows one of the metrics. */
function knownIn({ length, values }: TrialColumns, metrics: readonly string[]): Uint8Array {
  const known = new Uint8Array(length);
  for (const metric of metrics) {
    const column = values.get(metric);
    if (!column) continue;
    for (let i = 0; i < length; i++) if (!Number.isNaN(column[i] as number)) known[i] = 1;
  }
  return known;
}

/**
 * Calls back with the costs, all to be minimised, of each complete trial that has all objectives. The next call uses the same
 * array again.
 */
function eachPoint(
  { length, states, values }: TrialColumns,
  objectives: readonly Objective[],
  then: (index: number, point: readonly number[]) => void,
): void {
  const columns = objectives.map(({ metric }) => values.get(metric));
  // Without objectives there is nothing to be best in.
  if (columns.length === 0 || columns.includes(undefined)) return;
  const signs = objectives.map(({ goal }) => (goal === 'min' ? 1 : -1));
  const point = new Array<number>(columns.length).fill(0);
  trials: for (let i = 0; i < length; i++) {
    if (states[i] !== complete) continue;
    for (let k = 0; k < columns.length; k++) {
      const value = columns[k]?.[i] as number;
      if (Number.isNaN(value)) continue trials;
      point[k] = (signs[k] as number) * value;
    }
    then(i, point);
  }
}

const numbersOf = (members: readonly NumberedPoint[]): number[] => members.map(({ number }) => number);

const membersOf = ({ members }: WholeFront): { number: number; point: number[] }[] =>
  members.map(({ number, point }) => ({ number, point: [...point] }));

const sameMetrics = (
  a: readonly Pick<Objective, 'metric'>[],
  b: readonly Pick<Objective, 'metric'>[],
): boolean => a.length === b.length && a.every(({ metric }, i) => metric === b[i]?.metric);
