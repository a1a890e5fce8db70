import { join } from 'node:path';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { type RetentionPolicy, retentionPolicySchema } from '../fleet/retention.js';
import { readOwnJson } from '../plugins/read-own-json.js';

/**
 * The policy in `retention.json` of the data folder; what it leaves out, and a file that is missing, stand for the defaults.
 * Throws USAGE_INVALID.
 */
export async function readRetention(dataDir: string): Promise<RetentionPolicy> {
  const path = join(dataDir, 'retention.json');
  const policy = retentionPolicySchema.safeParse((await readOwnJson(path)) ?? {});
  if (policy.success) return policy.data;
  throw new HildaError('USAGE_INVALID', `${path} is not valid: ${z.prettifyError(policy.error)}`, {
    hint: 'docs/operation.md shows what it holds.',
  });
}
