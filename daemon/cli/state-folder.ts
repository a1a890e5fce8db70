import { join, resolve } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { Terminal } from './context.js';

/**
 * The data folder: as the option says, else HILDA_DATA, else the user's own. An absolute path, since child processes run
 * elsewhere. Throws USAGE_INVALID where there is no home.
 */
export const dataFolder = (data: string | undefined, env: Terminal['env']): string =>
  resolve(data ?? env.HILDA_DATA ?? stateFolder(env));

/** The same of an agent, which shares a home with a daemon. */
export const agentFolder = (data: string | undefined, env: Terminal['env']): string =>
  resolve(data ?? join(env.HILDA_DATA ?? stateFolder(env), 'agent'));

/** Where data is kept that the user named no place for. Throws USAGE_INVALID where there is no home. */
function stateFolder(env: Terminal['env']): string {
  const state = env.XDG_STATE_HOME ?? (env.HOME && join(env.HOME, '.local', 'state'));
  if (!state)
    throw new HildaError('USAGE_INVALID', 'there is no home folder to keep the data in', {
      hint: 'Name one with --data.',
    });
  return join(state, 'hilda');
}
