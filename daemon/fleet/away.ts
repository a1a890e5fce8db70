import { asHildaError } from '../core/errors.js';

/**
 * Whether an error says that a device is not to be had just now, whatever the network: it left, was taken out of use, has an
 * obstacle, does not open, or another program uses it. The network is not at fault: its work waits, or goes elsewhere.
 */
export function isAway(thrown: unknown): boolean {
  const { code, details } = asHildaError(thrown);
  const { setAside, unopened } = details;
  return code === 'DEVICE_GONE' || code === 'DEVICE_BUSY' || setAside !== undefined || unopened !== undefined;
}
