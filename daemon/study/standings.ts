import { z } from 'zod';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Store, TrialSeal } from '../store/contract.js';
import type { StudySpec } from './spec.js';
import { Standing, standingSchema } from './standing.js';

/** Of one study: what its sealed trials came to. */
interface Known {
  readonly seal: TrialSeal;
  readonly standing: Standing;
}

/** As it is stored. Another version is not read: the standing is made anew. */
const storedSchema = z.object({
  version: z.literal(1),
  seal: z.object({ pieces: z.number().int().min(0), revision: z.number().int().min(0) }),
  standing: standingSchema,
});

/** Studies that are kept ready, those asked for last. */
const keptStudies = 32;
/** A standing is stored each time that so many pieces were added. */
const piecesBetween = 8;

type StandingStore = Pick<Store, 'trialsSince' | 'value' | 'setValue'>;

/**
 * How studies stand: what was told and sealed is added once, and the open trials behind it at each question. Now and then the
 * sum is stored, so that a daemon that starts need not add up a large study again.
 */
export class Standings {
  readonly #store: StandingStore;
  readonly #known = new Map<StudyId, Known>();
  /** How many pieces the stored sums hold, as far as this process knows. */
  readonly #stored = new Map<StudyId, number>();

  constructor(store: StandingStore) {
    this.#store = store;
  }

  async of(id: StudyId, spec: StudySpec): Promise<Standing> {
    let isRestored = true;
    for (;;) {
      const known = this.#known.get(id) ?? (isRestored ? await this.#restored(id, spec) : undefined);
      const since = await this.#store.trialsSince(id, known?.seal ?? null);
      const now = this.#known.get(id);
      // Another question was answered meanwhile: its sum holds what this one would add again.
      if (now && now !== known) continue;
      const isNew = !known || since.isWhole;
      const standing = isNew ? new Standing(spec) : known.standing;
      for (const piece of since.sealed) standing.add(piece);
      const answer = standing.clone();
      if (since.open) answer.add(since.open);
      if (answer.isOutdated) {
        // Only one that goes on from a stored sum can be: the next one is made from all trials.
        this.#known.delete(id);
        isRestored = false;
        continue;
      }
      this.#keep(id, isNew || since.sealed.length > 0 ? { seal: since.seal, standing } : known);
      return answer;
    }
  }

  #keep(id: StudyId, known: Known): void {
    this.#known.delete(id);
    this.#known.set(id, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > keptStudies && oldest !== undefined) this.#known.delete(oldest);
    this.#save(id, known);
  }

  #save(id: StudyId, { seal, standing }: Known): void {
    if (seal.pieces - (this.#stored.get(id) ?? 0) < piecesBetween) return;
    this.#stored.set(id, seal.pieces);
    const stored = { version: 1, seal, standing: standing.state };
    // It saves time alone: one that cannot be stored is added up again.
    void this.#store.setValue(keyOf(id), stored as unknown as Json).catch(() => {});
  }

  async #restored(id: StudyId, spec: StudySpec): Promise<Known | undefined> {
    const { data } = storedSchema.safeParse(await this.#store.value(keyOf(id)));
    const standing = data && Standing.from(spec, data.standing);
    if (!data || !standing) return undefined;
    this.#stored.set(id, data.seal.pieces);
    return { seal: data.seal, standing };
  }
}

const keyOf = (id: StudyId): string => `standing ${id}`;
