import { asHildaError, type ErrorDocument, toErrorDocument } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import type { AttemptNote, JobRequest, Outcome } from '../jobs/job.js';
import type { Selector } from '../jobs/selector.js';
import type { TrialContext } from './trial-context.js';

/** A quality without its answers image by image: those are kept with the trial, and nothing of the loop reads them. */
export type HeardQuality = Omit<Quality, 'answers'>;

/**
 * One question of a trial to a device or its evaluator, and what came back: a value or an error. Kept with the trial, in the
 * order of asking, so that the study can be replayed without devices, evaluators, and their timing.
 */
export type Heard =
  | {
      readonly kind: 'device';
      readonly work: 'measure' | 'classify';
      /** Which device of the study was meant; an equivalent one may have answered. */
      readonly device: DeviceId;
      /** The trial was complete, and its device had been away. */
      readonly late: boolean;
      readonly attempts: readonly AttemptNote[];
      readonly measurementId: MeasurementId | null;
      readonly classifies: boolean | null;
      readonly error: ErrorDocument | null;
    }
  | {
      readonly kind: 'evaluator';
      readonly quality: HeardQuality | null;
      readonly error: ErrorDocument | null;
    }
  | {
      /** Of the network as a device runs it. */
      readonly kind: 'deployed';
      /** Null where the evaluator showed it nothing. */
      readonly device: DeviceId | null;
      readonly late: boolean;
      readonly quality: HeardQuality | null;
      readonly error: ErrorDocument | null;
    };

type Ears = Pick<TrialContext, 'jobs' | 'evaluator'>;

/** The devices and the evaluator of a trial, with a note in `heard` of all that they say. */
export function listening(
  { jobs, evaluator }: Ears,
  { late }: { readonly late: boolean },
): Ears & { readonly heard: readonly Heard[] } {
  const heard: Heard[] = [];
  return {
    heard,
    jobs: { run: (request, options) => runAndNote(jobs, request, options, { late, heard }) },
    evaluator: evaluatorWithNotes(evaluator, { late, heard }),
  };
}

interface Notes {
  readonly late: boolean;
  readonly heard: Heard[];
}

async function runAndNote(
  jobs: Ears['jobs'],
  request: JobRequest,
  options: { readonly signal: AbortSignal },
  { late, heard }: Notes,
): Promise<Outcome> {
  const attempts: AttemptNote[] = [];
  const given = { ...request.given, onAttempt: (note: AttemptNote) => void attempts.push(note) };
  const asked = {
    kind: 'device',
    work: request.work.kind as 'measure' | 'classify',
    device: deviceOf(request.devices),
    late,
    attempts,
  } as const;
  try {
    const outcome = await jobs.run({ ...request, given }, options);
    const { measurement, classifies } = outcome;
    heard.push({ ...asked, measurementId: measurement?.id ?? null, classifies, error: null });
    return outcome;
  } catch (thrown) {
    heard.push({ ...asked, measurementId: null, classifies: null, error: documentOf(thrown) });
    throw thrown;
  }
}

const deviceOf = (selector: Selector): DeviceId => (selector as { readonly pool: DeviceId }).pool;

function evaluatorWithNotes(evaluator: Evaluator, { late, heard }: Notes): Evaluator {
  const { deployed } = evaluator;
  return {
    metrics: evaluator.metrics,
    cost: evaluator.cost,
    async evaluate(architecture, options) {
      try {
        const quality = await evaluator.evaluate(architecture, options);
        heard.push({ kind: 'evaluator', quality: withoutAnswers(quality), error: null });
        return quality;
      } catch (thrown) {
        heard.push({ kind: 'evaluator', quality: null, error: documentOf(thrown) });
        throw thrown;
      }
    },
    ...(deployed && {
      async deployed(...given: Parameters<typeof deployed>) {
        const before = heard.length;
        const asked = () => ({ kind: 'deployed', late, device: askedSince(heard, before) }) as const;
        try {
          const quality = await deployed.apply(evaluator, given);
          heard.push({ ...asked(), quality: withoutAnswers(quality), error: null });
          return quality;
        } catch (thrown) {
          heard.push({ ...asked(), quality: null, error: documentOf(thrown) });
          throw thrown;
        }
      },
    }),
    close: () => evaluator.close(),
  };
}

/** A trial asks one after the other, so what it asked since is of this call. */
function askedSince(heard: readonly Heard[], from: number): DeviceId | null {
  const asked = heard.slice(from).find((one) => one.kind === 'device');
  return asked?.device ?? null;
}

const withoutAnswers = ({ answers: _, ...quality }: Quality): HeardQuality => quality;

const documentOf = (thrown: unknown): ErrorDocument => toErrorDocument(asHildaError(thrown));
