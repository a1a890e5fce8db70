import type { Device } from '../devices/contract.js';
import { loadProtocol } from '../measure/protocols.js';
import { referenceNetworks } from '../measure/references.js';

/** Resolves where the device measures a reference network, whatever the verdict; throws what it throws. */
export async function checkHealth(device: Device, signal: AbortSignal): Promise<void> {
  await device.measure(referenceNetworks().convolution, loadProtocol('quick'), { signal });
}
