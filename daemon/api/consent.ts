import { isDeepStrictEqual } from 'node:util';
import type { Caller } from '../access/access.js';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';

/** What a specification of a study may name without the local user's consent: nothing that is run, read or written by path. */
const harmless: ReadonlyMap<string, (evaluator: Readonly<Record<string, unknown>>) => boolean> = new Map([
  [
    'supernet',
    ({ weights, dataset }: Readonly<Record<string, unknown>>) =>
      weights === undefined && (dataset === undefined || typeof dataset === 'string'),
  ],
]);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Throws CONSENT_NEEDED where somebody other than the local user's own commands sends a specification whose evaluator runs a
 * program, or reads or writes files by path. `allowed`: evaluators that the local user agreed to beforehand, word for word. A
 * specification that is no right one is left to its own check.
 */
export function checkConsent(spec: unknown, { local, name }: Caller, allowed: readonly Json[] = []): void {
  if (local || !isObject(spec)) return;
  for (const [field, value] of Object.entries(spec)) {
    if (field !== 'evaluator') {
      checkConsent(value, { local, name, scope: 'read' }, allowed);
      continue;
    }
    if (!isObject(value) || allowed.some((one) => isDeepStrictEqual(one, value))) continue;
    const { kind } = value;
    if (typeof kind === 'string' && harmless.get(kind)?.(value)) continue;
    throw new HildaError(
      'CONSENT_NEEDED',
      `${name} may not name an evaluator of kind ${JSON.stringify(kind)}, or one with files`,
      { details: { fields: ['evaluator'] } },
    );
  }
}
