import { type Rng, randomInt } from '../../daemon/core/rng.js';

/** Numbers at which size computations go wrong. */
const awkward = [0, 1, 2, 4, 16, 63, 64, 65, 127, 128, 255, 256, 4096, 0x7fff, 0x8000, 0xffff, 0x10000];
const large = [0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0x3fffffff, 0x40000000];
const mostBytes = 64 * 1024;

/** Bytes with a few places changed: bits, words, pieces left out, doubled, or taken from another input. */
export function mutateBytes(given: Uint8Array, others: readonly Uint8Array[], rng: Rng): Uint8Array {
  let bytes = Uint8Array.from(given);
  for (let changes = 1 << randomInt(rng, 4); changes > 0; changes--) bytes = changeBytes(bytes, others, rng);
  return bytes.length > mostBytes ? bytes.subarray(0, mostBytes) : bytes;
}

function changeBytes(bytes: Uint8Array<ArrayBuffer>, others: readonly Uint8Array[], rng: Rng) {
  const at = randomInt(rng, Math.max(1, bytes.length));
  const piece = (): Uint8Array => {
    const from = others[randomInt(rng, others.length)] ?? bytes;
    const start = randomInt(rng, Math.max(1, from.length));
    return from.subarray(start, start + 1 + randomInt(rng, 64));
  };
  const spliced = (length: number, ...parts: Uint8Array[]) =>
    Uint8Array.from(Buffer.concat([bytes.subarray(0, at), ...parts, bytes.subarray(at + length)]));
  switch (bytes.length === 0 ? 5 : randomInt(rng, 9)) {
    case 0:
      bytes[at] = (bytes[at] as number) ^ (1 << randomInt(rng, 8));
      return bytes;
    case 1:
      bytes[at] = randomInt(rng, 256);
      return bytes;
    case 2:
    case 3: {
      const width = 1 << randomInt(rng, 3);
      if (at + width > bytes.length) return bytes;
      const view = new DataView(bytes.buffer, at, width);
      const numbers = rng.next() < 0.5 ? awkward : large;
      const value = numbers[randomInt(rng, numbers.length)] as number;
      if (width === 1) view.setUint8(0, value);
      else if (width === 2) view.setUint16(0, value, true);
      else view.setUint32(0, value, true);
      return bytes;
    }
    case 4:
      return spliced(1 + randomInt(rng, 32));
    case 5:
      return spliced(
        0,
        Uint8Array.from({ length: 1 + randomInt(rng, 8) }, () => randomInt(rng, 256)),
      );
    case 6:
      return spliced(0, piece());
    case 7: {
      const copy = piece();
      return spliced(copy.length, copy);
    }
    default:
      return Uint8Array.from(bytes.subarray(0, at));
  }
}

const texts = [
  '',
  ' ',
  '0',
  '-1',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'NaN',
  '1e999',
  '\u0000',
  '\ud800',
  'é'.repeat(300),
  'a'.repeat(5000),
  '%s%n',
  '*',
  'x'.repeat(64),
];
const numbers = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  0.5,
  1e-9,
  255,
  256,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e300,
];

/** A value of JSON with a few places changed: other kinds of values, names left out, doubled, or taken from elsewhere. */
export function mutateValue(given: unknown, others: readonly unknown[], rng: Rng): unknown {
  let value = structuredClone(given);
  for (let changes = 1 << randomInt(rng, 3); changes > 0; changes--) value = changeValue(value, others, rng);
  return value;
}

type Holder = Record<string, unknown> | unknown[];
interface Place {
  readonly holder: Holder;
  readonly key: string;
}

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}

function changeValue(root: unknown, others: readonly unknown[], rng: Rng): unknown {
  const places = placesIn(root);
  const place = places[randomInt(rng, places.length)];
  if (!place) return anyValue(others, rng);
  const holder = place.holder as Record<string, unknown>;
  const { key } = place;
  const now = holder[key];
  switch (randomInt(rng, 8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 1:
      if (Array.isArray(holder)) holder.push(structuredClone(now));
      // Not by assignment, which would change what the object is.
      else Object.defineProperty(holder, texts[randomInt(rng, texts.length)] as string, own(now));
      break;
    case 2:
      holder[key] = [now];
      break;
    case 3:
      holder[key] = typeof now === 'number' ? aNumber(now, rng) : anyValue(others, rng);
      break;
    case 4:
      holder[key] = typeof now === 'string' ? aText(now, rng) : anyValue(others, rng);
      break;
    case 5: {
      const other = places[randomInt(rng, places.length)];
      if (other) holder[key] = structuredClone((other.holder as Record<string, unknown>)[other.key]);
      break;
    }
    case 6:
      if (Array.isArray(now) && now.length > 0)
        holder[key] = Array.from({ length: randomInt(rng, 40) }, (_, i) =>
          structuredClone(now[i % now.length]),
        );
      else holder[key] = anyValue(others, rng);
      break;
    default:
      holder[key] = anyValue(others, rng);
  }
  return root;
}

const own = (value: unknown): PropertyDescriptor => ({
  value,
  enumerable: true,
  configurable: true,
  writable: true,
});

const aNumber = (now: number, rng: Rng): number =>
  [now + 1, now - 1, -now, now * 2, now + 0.5, ...numbers][randomInt(rng, numbers.length + 5)] as number;

function aText(now: string, rng: Rng): string {
  const at = randomInt(rng, now.length + 1);
  const text = texts[randomInt(rng, texts.length)] as string;
  return rng.next() < 0.5 ? text : now.slice(0, at) + text.slice(0, 8) + now.slice(at + randomInt(rng, 3));
}

function anyValue(others: readonly unknown[], rng: Rng): unknown {
  switch (randomInt(rng, 8)) {
    case 0:
      return null;
    case 1:
      return rng.next() < 0.5;
    case 2:
      return numbers[randomInt(rng, numbers.length)];
    case 3:
      return texts[randomInt(rng, texts.length)];
    case 4:
      return [];
    case 5:
      return {};
    case 6: {
      let deep: unknown = 1;
      for (let i = randomInt(rng, 300); i > 0; i--) deep = rng.next() < 0.5 ? [deep] : { a: deep };
      return deep;
    }
    default: {
      const places = placesIn(others[randomInt(rng, others.length)]);
      const { holder, key } = places[randomInt(rng, places.length)] ?? { holder: [], key: '0' };
      return structuredClone((holder as Record<string, unknown>)[key]);
    }
  }
}
