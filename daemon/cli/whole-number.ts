import { HildaError } from '../core/errors.js';

/** The value of an option. Throws USAGE_INVALID. */
export const wholeNumber = (text: string, option: string, least: number, most?: number): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= (most ?? value)) return value;
  const range = most === undefined ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new HildaError('USAGE_INVALID', `--${option}: ${text} is no whole number ${range}`);
};
