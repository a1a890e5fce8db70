import { type Architecture, architectureId } from '../core/architecture.js';
import { type ErrorDocument, fromErrorDocument, HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Examples } from '../devices/contract.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import { isAway } from '../fleet/away.js';
import type { AttemptNote, JobRequest, Outcome } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import type { Graph } from '../network/graph.js';
import type { Heard } from '../study/heard.js';
import type { Journal, JournalTrial } from './contract.js';
import type { ReplayDevices } from './replay-devices.js';

type HeardOf<K extends Heard['kind']> = Extract<Heard, { readonly kind: K }>;

/** Answers the questions of trials as they were answered when the study ran. */
export class ReplayTrials {
  readonly #journal: Journal;
  readonly #jobs: Pick<Jobs, 'run'>;
  readonly #devices: ReplayDevices;
  readonly #spaceId: string;
  readonly #byArchitecture: ReadonlyMap<string, JournalTrial>;
  /** Devices that were not there when they were last asked. */
  readonly #away = new Set<DeviceId>();

  constructor(
    journal: Journal,
    parts: { readonly jobs: Pick<Jobs, 'run'>; readonly devices: ReplayDevices; readonly spaceId: string },
  ) {
    this.#journal = journal;
    this.#jobs = parts.jobs;
    this.#devices = parts.devices;
    this.#spaceId = parts.spaceId;
    this.#byArchitecture = new Map(journal.trials.map((trial) => [trial.architectureId, trial]));
  }

  readonly jobs: Pick<Jobs, 'run'> = { run: (request, options) => this.#run(request, options) };

  readonly pool = {
    presence: (id: DeviceId) => ({ present: !this.#away.has(id), obstacle: null }),
    discover: async () => [],
  };

  get evaluator(): Evaluator {
    const showsExamples = this.#journal.trials.some(({ heard }) =>
      heard.some(({ kind }) => kind === 'deployed'),
    );
    return {
      metrics: [],
      cost: 'free',
      evaluate: async (architecture) => this.#evaluated(this.#trialOf(architecture)),
      ...(showsExamples && {
        deployed: (architecture: Architecture, classify: Classify) =>
          this.#deployed(this.#trialOf(architecture), classify),
      }),
      close: async () => {},
    };
  }

  async #run(request: JobRequest, options: { readonly signal: AbortSignal }): Promise<Outcome> {
    const { owner, devices } = request;
    if (owner.kind !== 'study' || !('pool' in devices))
      throw new HildaError('INTERNAL', 'a replayed trial asks for work of another kind');
    const { trial: number, late } = owner;
    const device = devices.pool;
    if (request.work.kind === 'classify') throw new Classified({ device, late });
    const recorded = this.#recorded(number, device, late);
    if (!recorded) {
      this.#away.add(device);
      throw new HildaError('DEVICE_GONE', `trial ${number} was not measured on ${device} when it ran`);
    }
    this.#away.delete(device);
    const { attempts, classifies, error } = recorded;
    const last = attempts.at(-1);
    if (error && (!last || last.error === null)) throw fromErrorDocument(error);
    if (!last) throw new HildaError('JOURNAL_INVALID', `trial ${number} holds no attempt on ${device}`);
    const own = attempts.filter(({ deviceId }) => deviceId === last.deviceId);
    const where = `trial ${number}`;
    const network = this.#devices.expecting(request.given?.network as Graph, {
      where,
      attempts: own,
      classifies,
    });
    return this.#jobs.run(
      {
        ...request,
        devices: { device: last.deviceId },
        maxAttempts: own.length,
        given: { ...request.given, network },
      },
      options,
    );
  }

  /** What a device said of a trial last; undefined where it was not there. */
  #recorded(
    number: number,
    device: DeviceId,
    late: boolean,
  ): { attempts: readonly AttemptNote[]; classifies: boolean; error: ErrorDocument | null } | undefined {
    const trial = this.#journal.trials[number];
    const heard = (trial?.heard ?? []).filter(
      (one): one is HeardOf<'device'> =>
        one.kind === 'device' && one.work === 'measure' && one.device === device,
    );
    const said = heard.findLast((one) => one.late === late);
    if (said) {
      if (said.error && isAway(fromErrorDocument(said.error))) return undefined;
      return { attempts: said.attempts, classifies: said.classifies ?? true, error: said.error };
    }
    if (late) return undefined;
    const measurementId = trial && recalledOf(trial, device, heard);
    if (measurementId === undefined) return undefined;
    const taken = this.#journal.measurements.get(measurementId);
    if (!taken) return undefined;
    const note = { deviceId: taken.deviceId, measurementId, error: null, startedMs: null, endedMs: 0 };
    return { attempts: [note], classifies: true, error: null };
  }

  #trialOf(architecture: Architecture): JournalTrial {
    const found = this.#byArchitecture.get(architectureId(this.#spaceId, architecture));
    if (found) return found;
    throw new HildaError('INTERNAL', 'the journal knows no such architecture');
  }

  #evaluated({ number, heard }: JournalTrial): Quality {
    const said = heard.findLast((one): one is HeardOf<'evaluator'> => one.kind === 'evaluator');
    if (!said) throw new HildaError('JOURNAL_INVALID', `trial ${number} was not evaluated when it ran`);
    return qualityOf(said);
  }

  async #deployed({ number, heard }: JournalTrial, classify: Classify): Promise<Quality> {
    const all = heard.filter((one): one is HeardOf<'deployed'> => one.kind === 'deployed');
    let asked: { readonly device: DeviceId | null; readonly late: boolean } = { device: null, late: false };
    // Who is asked shows in the question alone.
    if (all.some(({ device }) => device !== null))
      await classify(noNetwork, noExamples).catch((thrown: unknown) => {
        if (!(thrown instanceof Classified)) throw thrown;
        asked = thrown.asked;
      });
    const said =
      all.findLast((one) => one.device === asked.device && one.late === asked.late) ??
      all.findLast((one) => one.device === null);
    if (!said)
      throw new HildaError('DEVICE_GONE', `trial ${number} was not shown on ${asked.device} when it ran`);
    if (said.error && isAway(fromErrorDocument(said.error)))
      throw new HildaError('DEVICE_GONE', said.error.message);
    return qualityOf(said);
  }
}

type Classify = (network: Graph, examples: Examples) => Promise<ArrayLike<number>>;

/** A measurement that was stored before the trial's last start, and that nothing heard since names. */
function recalledOf(
  { measurements }: JournalTrial,
  device: DeviceId,
  heard: readonly HeardOf<'device'>[],
): MeasurementId | undefined {
  const id = measurements[device];
  return heard.some((one) => one.measurementId === id) ? undefined : id;
}

function qualityOf({
  quality,
  error,
}: {
  readonly quality: Quality | null;
  readonly error: ErrorDocument | null;
}): Quality {
  if (quality) return quality;
  throw error ? fromErrorDocument(error) : new HildaError('JOURNAL_INVALID', 'an answer holds nothing');
}

/** Says whom an evaluator asks. */
class Classified extends HildaError {
  readonly asked: { readonly device: DeviceId; readonly late: boolean };

  constructor(asked: { readonly device: DeviceId; readonly late: boolean }) {
    super('INTERNAL', `the answer of ${asked.device} is in the journal`);
    this.asked = asked;
  }
}

const noNetwork: Graph = {
  name: 'nothing',
  opset: 0,
  inputs: [],
  outputs: [],
  initializers: new Map(),
  nodes: [],
};
const noExamples: Examples = {
  values: new Float32Array(0),
  count: 0,
  ranges: async () => new Map(),
  calibration: { values: new Float32Array(0), count: 0, batch: 1 },
};
