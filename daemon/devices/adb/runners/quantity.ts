/** Microseconds of each unit of time that runners print. */
const microsecondsOf: ReadonlyMap<string, number> = new Map([
  ['s', 1e6],
  ['sec', 1e6],
  ['secs', 1e6],
  ['seconds', 1e6],
  ['ms', 1e3],
  ['msec', 1e3],
  ['us', 1],
  ['usec', 1],
  ['µs', 1],
  ['μs', 1],
  ['microseconds', 1],
  ['ns', 1e-3],
  ['nsec', 1e-3],
]);

/** Microseconds of one unit, e.g. 1000 of `ms`; null for a word that is no unit of time. */
export const microseconds = (unit: string): number | null => microsecondsOf.get(unit.toLowerCase()) ?? null;

/** What a number was read as, or why it is none. */
export type ReadNumber = { readonly value: number } | { readonly fault: string };

const plain = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const grouped = /^\d{1,3}(?:([.,'’_\u00a0\u202f\u066c])\d{3})(?:\1\d{3})*$/u;

/**
 * Reads a number as a program of any locale prints it. Digits of other scripts and decimal commas are read where they can
 * mean one number only; `1,234` can mean two and is refused. Not a number, infinite: refused.
 */
export function readNumber(printed: string): ReadNumber {
  const text = asciiDigits(printed.trim()).replaceAll('\u066b', '.');
  if (/^[+-]?(?:nan|inf)/i.test(text)) return { fault: `${printed} is not finite` };
  if (!/\d/.test(text)) return { fault: `${JSON.stringify(printed)} is no number` };
  if (plain.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? { value } : { fault: `${printed} is not finite` };
  }
  const [, whole, fraction, exponent = ''] = /^([^,e]*),(\d+)(e[+-]?\d+)?$/i.exec(text) ?? [];
  if (whole === undefined || fraction === undefined) return withGroups(text, printed);
  const ungrouped = withoutGroups(whole, '.');
  if (ungrouped === null) return withGroups(text, printed);
  const decimal = fraction.length !== 3 || exponent !== '' || whole !== ungrouped || /^[+-]?0*$/.test(whole);
  if (!decimal) return { fault: `${printed} is ambiguous: the comma may part decimals or thousands` };
  return { value: Number(`${ungrouped}.${fraction}${exponent}`) };
}

/** `1,234.5`, `1 234 567`: thousands parted by one sign throughout, decimals by a point. */
function withGroups(text: string, printed: string): ReadNumber {
  const [whole = '', fraction = '0', ...rest] = text.split('.');
  const digits = withoutGroups(whole, ',');
  const certain = text.includes('.') || (whole.match(/\D/g) ?? []).length > 1 || !whole.includes(',');
  if (digits === null || rest.length > 0 || !/^\d+$/.test(fraction) || !certain)
    return { fault: `${JSON.stringify(printed)} is no number` };
  return { value: Number(`${digits}.${fraction}`) };
}

function withoutGroups(whole: string, sign: string): string | null {
  if (/^[+-]?\d*$/.test(whole)) return whole === '' ? '0' : whole;
  const [, found] = grouped.exec(whole) ?? [];
  if (found === undefined || ((found === '.' || found === ',') && found !== sign)) return null;
  return whole.replaceAll(found, '');
}

/** Zeros of the scripts whose digits programs print: Arabic, Persian, Devanagari, Bengali, Thai, full width. */
const zeros = [0x0660, 0x06f0, 0x0966, 0x09e6, 0x0e50, 0xff10];

const asciiDigits = (text: string): string =>
  [...text]
    .map((sign) => {
      const code = sign.codePointAt(0) as number;
      const zero = zeros.find((first) => code >= first && code < first + 10);
      return zero === undefined ? sign : String(code - zero);
    })
    .join('');
