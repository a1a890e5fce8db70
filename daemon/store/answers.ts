import { packBits, unpackBits } from '../core/bits.js';
import { HildaError } from '../core/errors.js';
import type { AnswersOf } from '../core/evidence.js';
import { fromJsonText, toJsonText } from './json-columns.js';

/** As a row keeps them: a bit an image, in base64. */
interface Packed {
  readonly set: string;
  readonly count: number;
  readonly bits: string;
}

export const packAnswers = (answers: AnswersOf): string =>
  toJsonText(
    Object.fromEntries(
      Object.entries(answers).map(([metric, { set, right }]): [string, Packed] => [
        metric,
        { set, count: right.length, bits: Buffer.from(packBits(right)).toString('base64') },
      ]),
    ),
  );

/** Throws STORE_CORRUPT when the text is not what `packAnswers` wrote. */
export function unpackAnswers(text: string, what: string): AnswersOf {
  try {
    return Object.fromEntries(
      Object.entries(fromJsonText<Record<string, Packed>>(text, what)).map(
        ([metric, { set, count, bits }]) => [
          metric,
          { set, right: unpackBits(Buffer.from(bits, 'base64'), count) },
        ],
      ),
    );
  } catch (cause) {
    throw new HildaError('STORE_CORRUPT', `${what} holds damaged answers`, { cause });
  }
}
