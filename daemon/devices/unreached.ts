import { HildaError } from '../core/errors.js';

/** DEVICE_GONE with `details.unreached`: the device left before it had the network, which cannot have driven it away. */
export function unreached(error: HildaError): HildaError {
  const { code, message, hint, details } = error;
  if (code !== 'DEVICE_GONE') return error;
  return new HildaError(code, message, { cause: error, hint, details: { ...details, unreached: true } });
}
