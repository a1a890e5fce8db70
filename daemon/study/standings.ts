import type { StudyId } from '../core/ids.js';
import type { Store, TrialColumns } from '../store/contract.js';
import type { StudySpec } from './spec.js';
import { Standing } from './standing.js';

/** Of one study: what its pieces but the last came to. */
interface Known {
  readonly pieces: readonly TrialColumns[];
  readonly standing: Standing;
}

/** Studies that are kept ready, those asked for last. */
const keptStudies = 32;

/** How studies stand: what was told and sealed is added once, and the open trials behind it at each question. */
export class Standings {
  readonly #store: Pick<Store, 'trialColumns'>;
  readonly #known = new Map<StudyId, Known>();

  constructor(store: Pick<Store, 'trialColumns'>) {
    this.#store = store;
  }

  async of(id: StudyId, spec: StudySpec): Promise<Standing> {
    const pieces = await this.#store.trialColumns(id);
    const closed = pieces.slice(0, -1);
    const known = this.#known.get(id);
    const goesOn = known?.pieces.every((piece, i) => piece === closed[i]) ?? false;
    const standing = known && goesOn ? known.standing : new Standing(spec);
    for (const piece of closed.slice(known && goesOn ? known.pieces.length : 0)) standing.add(piece);
    this.#keep(id, { pieces: closed, standing });
    const last = pieces.at(-1);
    const answer = standing.clone();
    if (last) answer.add(last);
    return answer;
  }

  #keep(id: StudyId, known: Known): void {
    this.#known.delete(id);
    this.#known.set(id, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > keptStudies && oldest !== undefined) this.#known.delete(oldest);
  }
}
