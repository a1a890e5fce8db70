import { InvalidArgumentError } from 'commander';

/** The value of `--trial`. */
export function trialNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new InvalidArgumentError('It must be a whole number from 0.');
  return number;
}
