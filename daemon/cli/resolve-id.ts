import type { DaemonClient } from '../api/client.js';
import { type ErrorCode, HildaError } from '../core/errors.js';
import { findId } from '../core/id-beginnings.js';
import type { CliContext } from './context.js';

type Kind = 'device' | 'study' | 'predictor' | 'joiner' | 'specialisation';

interface Known {
  readonly code: ErrorCode;
  list(client: DaemonClient, context: CliContext): Promise<readonly { readonly id: string }[]>;
}

const kinds: Readonly<Record<Kind, Known>> = {
  device: { code: 'DEVICE_UNKNOWN', list: (client, context) => client.devices(context) },
  study: { code: 'STUDY_UNKNOWN', list: (client, context) => client.studies(context) },
  predictor: { code: 'PREDICTOR_UNKNOWN', list: (client, context) => client.predictors(context) },
  joiner: { code: 'NOT_FOUND', list: (client, context) => client.joiners(context) },
  specialisation: { code: 'NOT_FOUND', list: (client, context) => client.specialisations(context) },
};

/**
 * The id that a person means by itself or by its unique beginning. Throws DEVICE_UNKNOWN and its like where several begin
 * so, and where another one is meant as likely as not. A word that resembles nothing goes to the daemon, which refuses it.
 */
export async function resolveId(kind: Kind, word: string, context: CliContext): Promise<string> {
  // Any device of a kind: the daemon chooses.
  if (kind === 'device' && /^(pool|target|tag)=/.test(word)) return word;
  const { code, list } = kinds[kind];
  const found = findId(
    (await list(context.client, context)).map(({ id }) => id),
    word,
  );
  if ('id' in found) return found.id;
  if ('several' in found)
    throw new HildaError(code, `more than one ${kind} begins with ${word}`, {
      hint: `Give more of its id: ${found.several.slice(0, 5).join(', ')}.`,
      details: { candidates: found.several.slice(0, 20) },
    });
  if (found.near.length === 0) return word;
  throw new HildaError(code, `there is no ${kind} ${word}`, {
    hint: `Did you mean ${found.near.join(' or ')}?`,
    details: { candidates: found.near },
  });
}
