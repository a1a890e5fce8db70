import type { Clock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import type { EquivalenceOptions } from '../../daemon/jobs/compare.js';
import { Comparisons } from '../../daemon/jobs/comparisons.js';
import type { Jobs } from '../../daemon/jobs/jobs.js';
import type { Store } from '../../daemon/store/contract.js';

/** Compares two devices and waits for the verdict. */
export async function compareDevices(
  a: DeviceId,
  b: DeviceId,
  parts: { readonly store: Store; readonly jobs: Pick<Jobs, 'run'>; readonly clock: Clock },
  options: EquivalenceOptions,
) {
  const campaigns = new Campaigns(parts);
  const verdict = await new Comparisons({ ...parts, campaigns }).verdict(a, b, options);
  await campaigns.stop();
  return verdict;
}
