import type { Device } from '../devices/contract.js';
import { loadProtocol } from '../measure/protocols.js';
import { referenceNetworks } from '../measure/references.js';
import { countKnownCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

/** Resolves where the device measures a reference network, with any verdict; throws what it throws. */
export async function checkHealth(
  device: Device,
  signal: AbortSignal,
  network: Graph = referenceNetworks().convolution,
): Promise<void> {
  await device.measure(network, loadProtocol('quick'), { signal });
}

/** A network that ran, with what it needs at least. */
export interface Ran {
  readonly network: Graph;
  readonly weightBytes: number;
  readonly activationBytes: number;
}

/** Larger ones are not kept for a second run: they would hold too much of the daemon's memory. */
const keptWeightBytes = 64 * 2 ** 20;

/** Undefined where the cost is not known. */
function sizeOf(network: Graph): Ran | undefined {
  try {
    const { peakActivationBytes: activationBytes, weightBytes } = countKnownCost(network);
    return activationBytes === null ? undefined : { network, weightBytes, activationBytes };
  } catch {
    return undefined;
  }
}

/** The larger of what ran before and a network that ran now. */
export function largerOf(before: Ran | undefined, network: Graph): Ran | undefined {
  const now = sizeOf(network);
  if (!now || now.weightBytes > keptWeightBytes) return before;
  const bytes = ({ weightBytes, activationBytes }: Ran): number => weightBytes + activationBytes;
  return before && bytes(before) >= bytes(now) ? before : now;
}

/** Whether what ran needed no less of anything. */
export function isNoSmaller(ran: Ran | undefined, network: Graph): ran is Ran {
  const size = sizeOf(network);
  return (
    ran !== undefined &&
    size !== undefined &&
    ran.weightBytes >= size.weightBytes &&
    ran.activationBytes >= size.activationBytes
  );
}
