import { z } from 'zod';
import type { DeviceId } from '../core/ids.js';
import { targetKey } from '../core/target.js';
import type { Store } from '../store/contract.js';

const comparison = z.object({
  equivalent: z.boolean(),
  ratio: z.number(),
  interval: z.tuple([z.number(), z.number()]).readonly(),
});
const verdictSchema = z.object({
  devices: z.tuple([z.string(), z.string()]).readonly(),
  target: z.string(),
  margin: z.number(),
  visits: z.number(),
  equivalent: z.boolean(),
  /** Second device over the first, by reference network. */
  convolution: comparison,
  transformer: comparison,
  takenAtMs: z.number(),
});
/** Whether costs of two devices of one target may be pooled. */
export type EquivalenceVerdict = z.infer<typeof verdictSchema>;

/** Under which key of the store the verdict on two devices is. */
export const equivalenceKey = (a: DeviceId, b: DeviceId): string => `equivalence ${[a, b].sort().join(' ')}`;

/** The device itself and every adopted one that passed the test against it under the target that both have now. */
export async function pooledWith(
  id: DeviceId,
  store: Pick<Store, 'device' | 'devices' | 'values'>,
): Promise<DeviceId[]> {
  const devices = await store.devices();
  const self = devices.find((one) => one.id === id) ?? (await store.device(id));
  const key = targetKey(self.target);
  const alike = devices.filter(
    (other) => other.id !== id && other.state === 'adopted' && targetKey(other.target) === key,
  );
  if (alike.length === 0) return [id];
  const verdicts = await store.values(alike.map((other) => equivalenceKey(id, other.id)));
  const pooled = [id];
  for (const other of alike) {
    const { data } = verdictSchema.safeParse(verdicts.get(equivalenceKey(id, other.id)));
    if (data?.equivalent && data.target === key) pooled.push(other.id);
  }
  return pooled;
}
