import { HildaError } from '../core/errors.js';

/** DATA_INVALID: the message names the file and what is wrong with it. */
export const invalid = (
  message: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): HildaError => new HildaError('DATA_INVALID', message, options);
