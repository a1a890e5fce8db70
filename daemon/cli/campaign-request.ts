import type { CliContext } from './context.js';
import { resolveId } from './resolve-id.js';
import { wholeNumber } from './whole-number.js';

/** Options of every command that measures networks of a space, as they are typed. */
export interface CampaignOptions {
  readonly device: string;
  readonly space: string;
  readonly samples: string;
  readonly seed: string;
  readonly protocol: string;
}

/** What a campaign is asked for by its options. Throws DEVICE_UNKNOWN and USAGE_INVALID. */
export const campaignRequest = async (
  { device, space, protocol, samples, seed }: CampaignOptions,
  context: CliContext,
) => ({
  device: await resolveId('device', device, context),
  space,
  protocol,
  samples: wholeNumber(samples, 'samples', 5),
  seed: wholeNumber(seed, 'seed', 0),
});
