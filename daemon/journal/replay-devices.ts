import { type ErrorDocument, fromErrorDocument, HildaError } from '../core/errors.js';
import type { Measurement } from '../core/measurement.js';
import type { Target } from '../core/target.js';
import { ReplayDevice } from '../devices/replay/device.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { AttemptNote } from '../jobs/job.js';
import { structureHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import type { Journal } from './contract.js';
import type { Difference } from './difference.js';

/** The recorded attempts of one job, which its network stands for. */
interface Recorded {
  readonly where: string;
  readonly attempts: readonly AttemptNote[];
  readonly classifies: boolean;
  next: number;
}

/** Devices that answer from a journal: each job is given the attempts that were recorded of it, in their order. */
export class ReplayDevices implements Pick<DevicePool, 'use' | 'presence' | 'onChange'> {
  readonly #journal: Journal;
  readonly #jobs = new WeakMap<Graph, Recorded>();
  readonly #onDifference: (difference: Difference) => void;

  constructor(journal: Journal, onDifference: (difference: Difference) => void) {
    this.#journal = journal;
    this.#onDifference = onDifference;
  }

  /** The network that a job is to bring: its device answers by these attempts. */
  expecting(network: Graph, recorded: Omit<Recorded, 'next'>): Graph {
    const own = { ...network };
    this.#jobs.set(own, { ...recorded, next: 0 });
    return own;
  }

  presence(): { readonly present: true; readonly obstacle: null } {
    return { present: true, obstacle: null };
  }

  onChange(): () => void {
    return () => {};
  }

  use: DevicePool['use'] = async (id, { network }, work) => {
    const recorded = network && this.#jobs.get(network);
    if (!recorded) throw new HildaError('INTERNAL', `a replay knows no such work of ${id}`);
    const { where, attempts, classifies } = recorded;
    const measured = (given: Graph): Measurement => {
      const attempt = attempts[recorded.next++];
      if (!attempt) throw new HildaError('INTERNAL', `${where} has no attempt ${recorded.next}`);
      if (attempt.error && attempt.measurementId === null)
        throw fromErrorDocument(attempt.error as unknown as ErrorDocument);
      return this.#taken(attempt, given, where);
    };
    const target = targetOf(this.#journal, attempts[recorded.next]);
    return work(new ReplayDevice(target, { measured, classifies }));
  };

  #taken({ measurementId }: AttemptNote, network: Graph, where: string): Measurement {
    const found = this.#journal.measurements.get(measurementId as string);
    if (!found) throw new HildaError('INTERNAL', `${where}: the measurement ${measurementId} is missing`);
    const { id: _, deviceId: __, ...measurement } = found;
    const replayed = structureHash(network);
    if (replayed !== found.structureHash)
      this.#onDifference({ where, field: 'network', recorded: found.structureHash, replayed });
    return { ...measurement, rounds: [] };
  }
}

function targetOf({ devices }: Journal, attempt: AttemptNote | undefined): Target {
  const [first] = devices;
  const found = devices.find(({ id }) => id === attempt?.deviceId) ?? first;
  if (found) return found.target;
  throw new HildaError('JOURNAL_INVALID', 'the journal names no device');
}
