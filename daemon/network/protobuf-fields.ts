/** A field of a protobuf message on the wire; `bytes` are the contents of a length-delimited one. */
interface Field {
  readonly number: number;
  readonly bytes: Uint8Array | undefined;
}

/**
 * The fields of a protobuf message in order, without a schema (Protocol Buffers, "Encoding"): for fields that are newer than
 * the schema at our disposal. The message must have been decoded before, so that its lengths are known to be right.
 */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag & 7) {
      case 0:
        varint();
        yield { number, bytes: undefined };
        break;
      case 1:
        at += 8;
        yield { number, bytes: undefined };
        break;
      case 2: {
        const length = varint();
        yield { number, bytes: message.subarray(at, at + length) };
        at += length;
        break;
      }
      case 5:
        at += 4;
        yield { number, bytes: undefined };
        break;
      default:
        return;
    }
  }
}

/** Messages behind one another, each as a length-delimited field of that number. */
export function lengthDelimited(number: number, messages: readonly Uint8Array[]): Uint8Array {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
  const parts = messages.flatMap((message) => [
    Uint8Array.from([...varint(number * 8 + 2), ...varint(message.length)]),
    message,
  ]);
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
