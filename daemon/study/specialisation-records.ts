import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { DeviceId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Store } from '../store/contract.js';

const studyId = z.string().transform((id) => id as StudyId);
const recordSchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['running', 'paused', 'completed', 'failed']),
  reason: z.string().nullable(),
  createdMs: z.number(),
  slack: z.number(),
  /** How the winners are measured; null: as in the searches. */
  protocol: z.string().nullable(),
  columns: z.array(
    z.object({
      deviceId: z.string().transform((id) => id as DeviceId),
      host: z.string().nullable(),
      speed: z.enum(['latencyUs', 'cycles', 'instructions']),
      spec: z.json(),
      /** Its search, and the study that measures every winner on it; null until they are started. */
      search: studyId.nullable(),
      winners: studyId.nullable(),
    }),
  ),
});
/** One search a device, and then every winner on every device: what was asked, and the studies that answer. */
export type SpecialisationRecord = z.infer<typeof recordSchema>;

const storeKey = 'specialisations';

/** The specialisations that a store remembers, oldest first. */
export class SpecialisationRecords {
  readonly #store: Pick<Store, 'value' | 'setValue'>;
  /** Changes are written one after the other: two at once would lose one of them. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(store: Pick<Store, 'value' | 'setValue'>) {
    this.#store = store;
  }

  async all(): Promise<SpecialisationRecord[]> {
    return z.array(recordSchema).parse((await this.#store.value(storeKey)) ?? []);
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<SpecialisationRecord> {
    const found = (await this.all()).find((one) => one.id === id);
    if (found) return found;
    throw new HildaError('NOT_FOUND', `there is no specialisation ${id}`, {
      hint: 'Run `hilda search matrix` to see all.',
    });
  }

  async add(record: Omit<SpecialisationRecord, 'id'>): Promise<SpecialisationRecord> {
    let added: SpecialisationRecord | undefined;
    await this.#write((all) => {
      added = { ...record, id: `specialisation-${all.length + 1}` };
      return [...all, added];
    });
    return added as unknown as SpecialisationRecord;
  }

  /** `next` sees the record as it is when its turn comes: studies of several hosts start side by side. */
  change(id: string, next: (record: SpecialisationRecord) => Partial<SpecialisationRecord>): Promise<void> {
    return this.#write((all) => all.map((one) => (one.id === id ? { ...one, ...next(one) } : one)));
  }

  #write(next: (all: readonly SpecialisationRecord[]) => readonly SpecialisationRecord[]): Promise<void> {
    const write = this.#writing.then(async () =>
      this.#store.setValue(storeKey, next(await this.all()) as unknown as Json),
    );
    this.#writing = write.catch(() => {});
    return write;
  }
}
