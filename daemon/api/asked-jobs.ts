import type { z } from 'zod';
import { networkOf } from '../jobs/bound-network.js';
import type { InputsRef, JobRequest, ModelRef, Outcome } from '../jobs/job.js';
import { parseSelector } from '../jobs/selector.js';
import { loadProtocol } from '../measure/protocols.js';
import { runningBodyOf } from '../rollouts/device-body.js';
import type { jobFields } from './job-fields.js';
import type {
  deploymentRequestSchema,
  inferenceRequestSchema,
  measurementRequestSchema,
  profileRequestSchema,
} from './measurement-schemas.js';
import type { DaemonServices } from './services.js';

type Fields = { readonly [K in keyof typeof jobFields]?: number | undefined };

/** What all jobs of people share. */
const personal = ({
  device,
  priority = 0,
  deadlineMs,
}: Fields & { readonly device: string }): Pick<
  JobRequest,
  'devices' | 'owner' | 'priority' | 'deadlineMs'
> => ({
  devices: parseSelector(device),
  owner: { kind: 'person' },
  priority,
  deadlineMs: deadlineMs ?? null,
});

/** Reads the model, so that one that cannot run is refused before it is a job. */
async function modelOf(
  { model, dims, shapes, inputs }: ModelRef,
  services: DaemonServices,
): Promise<Pick<JobRequest, 'network' | 'given'>> {
  const ref: ModelRef = {
    model,
    ...(dims && { dims }),
    ...(shapes && { shapes }),
    ...(inputs && { inputs }),
  };
  return { network: ref, given: { network: await networkOf(ref, services) } };
}

export const measurementJob = async (
  body: z.infer<typeof measurementRequestSchema>,
  services: DaemonServices,
): Promise<JobRequest> => ({
  ...personal(body),
  ...(await modelOf(body, services)),
  work: { kind: 'measure', protocol: loadProtocol(body.protocol), calibration: null, ramBytes: null },
});

export const profileJob = async (
  body: z.infer<typeof profileRequestSchema>,
  services: DaemonServices,
): Promise<JobRequest> => ({
  ...personal(body),
  ...(await modelOf(body, services)),
  work: { kind: 'profile' },
});

export const deploymentJob = async (
  body: z.infer<typeof deploymentRequestSchema>,
  services: DaemonServices,
): Promise<JobRequest> => {
  const { calibration, ranges } = body;
  const inputs: InputsRef =
    ranges !== undefined ? { ranges } : 'blobs' in calibration ? calibration : { examples: calibration };
  return {
    ...personal(body),
    ...(await modelOf(body, services)),
    inputs,
    work: { kind: 'deploy', ranges: null },
  };
};

/** Runs what the board holds; of a device without a flash, the network that a rollout left for it. */
export async function servedJob(
  { input, ...body }: z.infer<typeof inferenceRequestSchema>,
  { store }: Pick<DaemonServices, 'store'>,
): Promise<JobRequest> {
  const asked = personal(body);
  const inputs: InputsRef = 'blob' in input ? { blob: input.blob } : { values: input };
  const running = 'device' in asked.devices ? await store.runningOn(asked.devices.device) : undefined;
  const { place, network } = running ? runningBodyOf(running.body) : { place: 'flash', network: null };
  if (place === 'kept' && network) return { ...asked, network, inputs, work: { kind: 'run' } };
  return { ...asked, inputs, work: { kind: 'runDeployed', deployment: null } };
}

/** Submits a job and waits for it. Without a key, it goes when its client goes; with one, the client comes back for it. */
export async function awaited(
  { jobs }: Pick<DaemonServices, 'jobs'>,
  request: JobRequest,
  { idempotencyKey, signal }: { readonly idempotencyKey: string | null; readonly signal: AbortSignal },
): Promise<Outcome> {
  const attached = idempotencyKey === null;
  const submitted = { ...request, attached, idempotencyKey };
  return (await jobs.submit(submitted, attached ? { signal } : {})).done;
}
