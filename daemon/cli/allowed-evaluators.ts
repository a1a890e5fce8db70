import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { readSpec } from './read-input.js';

/** The evaluators that a file lists, YAML or JSON. Throws NOT_FOUND, SPEC_INVALID. */
export async function readAllowed(path: string): Promise<Json[]> {
  const parsed = z.array(z.record(z.string(), z.json())).safeParse(await readSpec(path));
  if (parsed.success) return parsed.data;
  throw new HildaError('SPEC_INVALID', `${path} is no list of evaluators`, {
    hint: 'Write each as a study has it, e.g. `- {kind: command, command: [/opt/score]}`.',
  });
}
