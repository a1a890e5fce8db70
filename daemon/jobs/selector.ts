import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { targetKey } from '../core/target.js';
import type { DeviceRecord } from '../store/contract.js';

/** On which devices a job may run. */
export type Selector =
  | { readonly device: DeviceId }
  /** The device, or one that passed the equivalence test against it. */
  | { readonly pool: DeviceId }
  /** Adopted devices of a model or target. */
  | { readonly target: string }
  /** Adopted devices that have all of these tags. */
  | { readonly tags: readonly string[] };

const name = z.string().min(1).max(2000);
export const selectorSchema = z.union([
  z.strictObject({ device: name }),
  z.strictObject({ pool: name }),
  z.strictObject({ target: name }),
  z.strictObject({ tags: z.array(name).min(1).max(32) }),
]);

/**
 * Reads what people write: the id of a device, `pool=DEVICE` for one of its equals, `target=MODEL`, `tag=TAG`, or
 * `tag=TAG,TAG` for devices that have them all. Throws REQUEST_INVALID.
 */
export function parseSelector(text: string): Selector {
  const [, kind, value = ''] = /^(pool|target|tag)=(.*)$/s.exec(text) ?? [];
  // No id holds the sign: a tag such as shelf=2 was meant.
  if (kind === undefined && text !== '' && !text.includes('=')) return { device: text as DeviceId };
  if (kind === 'pool' && value !== '') return { pool: value as DeviceId };
  if (kind === 'target' && value !== '') return { target: value };
  const tags = value.split(',').filter((tag) => tag !== '');
  if (kind === 'tag' && tags.length > 0) return { tags };
  throw new HildaError('REQUEST_INVALID', `"${text}" names no device`, {
    hint: 'Give the id of a device, pool=DEVICE, target=MODEL, or tag=TAG, for example tag=shelf=2.',
  });
}

export function formatSelector(selector: Selector): string {
  if ('device' in selector) return selector.device;
  if ('pool' in selector) return `pool=${selector.pool}`;
  return 'target' in selector ? `target=${selector.target}` : `tag=${selector.tags.join(',')}`;
}

/** Whether a device is among those that a selector by target or tags means. Devices must be adopted: nobody named them. */
export const isMeant = (selector: Selector, device: DeviceRecord): boolean =>
  device.state === 'adopted' && fits(selector, device);

/** As `isMeant`, of a device in any state. */
export function fits(selector: Selector, device: DeviceRecord): boolean {
  if ('target' in selector)
    return device.target.model === selector.target || targetKey(device.target) === selector.target;
  return 'tags' in selector && selector.tags.every((tag) => device.tags.includes(tag));
}
