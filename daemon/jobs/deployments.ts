import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Deployment } from '../devices/contract.js';
import type { Store } from '../store/contract.js';

const key = (id: DeviceId): string => `deployment ${id}`;

/** What a job stores with its result: the board has the program alone. */
export const deploymentValue = (id: DeviceId, deployment: Deployment): Readonly<Record<string, Json>> => ({
  [key(id)]: deployment as unknown as Json,
});

/** What a job stores that removed a deployment. */
export const nothingDeployed = (id: DeviceId): Readonly<Record<string, Json>> => ({ [key(id)]: null });

/** What this daemon deployed to the device last; undefined where it deployed nothing. */
export async function deployedTo(id: DeviceId, store: Pick<Store, 'value'>): Promise<Deployment | undefined> {
  const kept = (await store.value(key(id))) as Deployment | undefined | null;
  // Kept by an earlier version, it has one input and one output.
  return kept
    ? { ...kept, moreInputs: kept.moreInputs ?? [], moreOutputs: kept.moreOutputs ?? [] }
    : undefined;
}

/** Throws STATE_CONFLICT where nothing was deployed. */
export async function requireDeployment(id: DeviceId, store: Pick<Store, 'value'>): Promise<Deployment> {
  const deployment = await deployedTo(id, store);
  if (deployment) return deployment;
  throw new HildaError('STATE_CONFLICT', `nothing was deployed to ${id} by this daemon`, {
    hint: 'Run `hilda deploy` first.',
  });
}
