import { HildaError } from '../../core/errors.js';
import type { SpecialisationId, StudyId } from '../../core/ids.js';
import type { Store, StudyPart } from '../../store/contract.js';
import { oneTrial } from '../../store/one-trial.js';
import { externalSampler } from '../outside.js';
import type { StudyService } from '../service.js';
import { parseStudySpec, type StudySpec } from '../spec.js';
import type { Finalist } from './finalists.js';
import { inTurnByHost, unlessAborted } from './in-turn.js';
import { finalistsOf, hasEnded, type Progress, progressOf } from './progress.js';

export interface RunOptions {
  readonly store: Store;
  readonly studies: StudyService;
  readonly signal: AbortSignal;
}

/**
 * Every search, then every finalist on every device, from where the studies stand. Devices of one host are searched in turn:
 * an emulator beside a network that is timed would void its times. Throws what a study cannot be started with, SPACE_INFEASIBLE,
 * STATE_CONFLICT where one did not come to its end, and the signal's reason.
 */
export async function runSpecialisation(id: SpecialisationId, options: RunOptions): Promise<void> {
  const { store } = options;
  const progress = async (): Promise<Progress> => progressOf(await store.specialisation(id), store);
  await inTurnByHost((await progress()).columns, async ({ deviceId, spec, search }) => {
    const part = { specialisationId: id, deviceId, role: 'search' } as const;
    await finish(search ?? (await startPart(spec, part, options)), options);
  });
  const searched = await progress();
  const { finalists } = await finalistsOf(searched, options);
  await inTurnByHost(searched.columns, async ({ deviceId, spec, finals: known }) => {
    const part = { specialisationId: id, deviceId, role: 'finals' } as const;
    const own = finalsSpec(spec, { count: finalists.length, protocol: searched.protocol });
    const study = known ?? (await startPart(own, part, options));
    await offer(study, finalists, options);
    await finish(study, options);
  });
}

/** The study's own row says which part it is: a daemon that is killed at any moment finds it again, or finds none. */
async function startPart(spec: unknown, part: StudyPart, { studies, signal }: RunOptions): Promise<StudyId> {
  signal.throwIfAborted();
  return (await studies.create(spec, { part })).id;
}

/** Follows a study to its end, resuming it where it had stopped. */
async function finish(id: StudyId, { store, studies, signal }: RunOptions): Promise<void> {
  await goOn(id, { store, studies });
  await unlessAborted(studies.settled(id), signal);
  const { state, reason } = await store.study(id);
  if (!hasEnded(state))
    throw new HildaError('STATE_CONFLICT', `the study ${id} is ${state}: ${reason ?? ''}`);
}

async function goOn(id: StudyId, { store, studies }: Omit<RunOptions, 'signal'>): Promise<void> {
  const { state } = await store.study(id);
  if (state === 'paused' || state === 'failed') await studies.resume(id);
}

/** Hands the finalists to a study without a sampler; those that it knows already are not measured again. */
async function offer(
  id: StudyId,
  finalists: readonly Finalist[],
  { store, studies, signal }: RunOptions,
): Promise<void> {
  await goOn(id, { store, studies });
  if ((await store.study(id)).state !== 'running') return;
  const proposals = await Promise.all(
    finalists.map(async ({ finds: [{ deviceId, study, row }] }) => {
      const { architecture } = await oneTrial(study, row.trialNumber, store);
      return { architecture, note: `found for ${deviceId}` };
    }),
  );
  await studies.ask(id, { n: proposals.length, proposals, waitMs: 0 }, { signal });
}

/** The finalists, each once, measured as the device's search measures, its limits included. */
function finalsSpec(
  own: unknown,
  { count, protocol }: { readonly count: number; readonly protocol: string | null },
): StudySpec {
  const spec = parseStudySpec(own);
  return {
    ...spec,
    name: `finals: ${spec.name}`.slice(0, 100),
    sampler: { name: externalSampler, options: {} },
    transfer: [],
    predictors: [],
    budget: { trials: count },
    protocol: protocol ?? spec.protocol,
  };
}
