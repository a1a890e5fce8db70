import type { z } from 'zod';
import { HildaError } from '../core/errors.js';

/** A message that was checked against its schema. Throws MESSAGE_INVALID with the fields that are wrong. */
export function checked<S extends z.ZodType>(schema: S, data: unknown): z.infer<S> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'message'}: ${message}`);
  throw new HildaError('MESSAGE_INVALID', `a malformed message: ${fields.join('; ').slice(0, 300)}`, {
    details: { fields },
  });
}
