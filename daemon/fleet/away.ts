import { asHildaError } from '../core/errors.js';

/**
 * Whether an error says that a device is not available now, for any network: it left, was taken out of use, has an
 * obstacle, does not open, was found at fault, or another program uses it. Its work waits, or goes elsewhere.
 */
export function isAway(thrown: unknown): boolean {
  const { code, details } = asHildaError(thrown);
  const { setAside, unopened } = details;
  return (
    code === 'DEVICE_GONE' ||
    code === 'DEVICE_BUSY' ||
    setAside !== undefined ||
    unopened !== undefined ||
    isAtFault(thrown)
  );
}

/** Whether it failed a reference network too, and so has a strike. */
export const isAtFault = (thrown: unknown): boolean => asHildaError(thrown).details.atFault === 'device';
