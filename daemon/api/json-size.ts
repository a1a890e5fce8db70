import { HildaError } from '../core/errors.js';

export interface JsonLimits {
  /** Lists and objects within one another. */
  readonly maxDepth: number;
  /** Elements and fields of the whole text. */
  readonly maxValues: number;
}

/** Checkers of shapes recurse, and a stack holds some thousand calls. Architectures nest a few dozen deep. */
const jsonLimits: JsonLimits = { maxDepth: 200, maxValues: 250_000 };

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);

/** Looks at a JSON text before it is parsed: one pass over its bytes. Throws REQUEST_TOO_LARGE. */
export function checkJsonSize(text: Uint8Array, { maxDepth, maxValues }: JsonLimits = jsonLimits): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at] as number;
    if (byte === quote) {
      for (at++; at < text.length && text[at] !== quote; at++) if (text[at] === backslash) at++;
    } else if (opening.has(byte)) {
      values++;
      if (++depth > maxDepth) throw tooLarge('lists and objects within one another', maxDepth);
    } else if (closing.has(byte)) depth--;
    else if (byte === comma) values++;
    if (values > maxValues) throw tooLarge('values', maxValues);
  }
}

const tooLarge = (what: string, max: number): HildaError =>
  new HildaError('REQUEST_TOO_LARGE', `the JSON holds more than ${max} ${what}`, {
    hint: 'Send less in one request.',
    details: { max },
  });
