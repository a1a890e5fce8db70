import type { StudyId } from '../core/ids.js';
import type { TrialRecord } from '../store/contract.js';
import type { Fronts, Members } from './front-rows.js';

interface Kept {
  readonly key: string;
  readonly fronts: Promise<Fronts>;
}

const keptStudies = 32;

/** Fronts with their rows, made again only where a member is another one, or is known by other values than before. */
export class KeptFronts {
  readonly #kept = new Map<StudyId, Kept>();

  of(id: StudyId, members: Members, make: () => Promise<Fronts>): Promise<Fronts> {
    const key = keyOf(members);
    const known = this.#kept.get(id);
    if (known?.key === key) return known.fronts;
    const kept = { key, fronts: make() };
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    kept.fronts.catch(() => this.#kept.get(id) === kept && this.#kept.delete(id));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > keptStudies && oldest !== undefined) this.#kept.delete(oldest);
    return kept.fronts;
  }
}

const keyOf = ({ joint, devices }: Members): string =>
  JSON.stringify([
    joint.map(facts),
    devices.map(({ objectives, hidesAccuracy, trials }) => [objectives, hidesAccuracy, trials.map(facts)]),
  ]);

/** All of a trial that its row is made from. */
const facts = ({ number, values, evidence, measurements }: TrialRecord): unknown => [
  number,
  values,
  evidence,
  measurements,
];
