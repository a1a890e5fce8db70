import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { Terminal } from './context.js';

/** Where data is kept that the user named no place for. Throws USAGE_INVALID where there is no home. */
export function stateFolder(env: Terminal['env']): string {
  const state = env.XDG_STATE_HOME ?? (env.HOME && join(env.HOME, '.local', 'state'));
  if (!state)
    throw new HildaError('USAGE_INVALID', 'there is no home folder to keep the data in', {
      hint: 'Name one with --data.',
    });
  return join(state, 'hilda');
}
