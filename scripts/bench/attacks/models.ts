/** ONNX files that no exporter writes, put together field by field. */

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];

export function field(number: number, contents: Uint8Array | string): Uint8Array {
  const bytes = typeof contents === 'string' ? new TextEncoder().encode(contents) : contents;
  return Buffer.concat([Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}

const number = (of: number, value: number): Uint8Array =>
  Uint8Array.from([...varint(of * 8), ...varint(value)]);

export const message = (...fields: Uint8Array[]): Uint8Array => Buffer.concat(fields);

/** A model of operator set 17 around a graph's fields. */
export const model = (...graph: Uint8Array[]): Uint8Array =>
  message(number(1, 8), field(8, number(2, 17)), field(7, message(...graph)));

const shape = (...sizes: number[]): Uint8Array => message(...sizes.map((size) => field(1, number(1, size))));

export const value = (name: string, ...sizes: number[]): Uint8Array =>
  message(field(1, name), field(2, field(1, message(number(1, 1), field(2, shape(...sizes))))));

export const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  ...more: Uint8Array[]
): Uint8Array => message(...inputs.map((input) => field(1, input)), field(2, output), field(4, op), ...more);

/** So many operators in a row. */
export function chain(nodes: number): Uint8Array {
  const one = field(1, node('Relu', ['x'], 'y'));
  const all = Buffer.alloc(one.length * nodes);
  for (let i = 0; i < nodes; i++) all.set(one, i * one.length);
  return model(all, field(11, value('x', 1)), field(12, value('y', 1)));
}

/** Operators whose values have names, so that the file is right. */
export function rightChain(nodes: number): Uint8Array {
  const parts = Array.from({ length: nodes }, (_, i) =>
    field(1, node('Relu', [i === 0 ? 'x' : `v${i}`], `v${i + 1}`)),
  );
  return model(Buffer.concat(parts), field(11, value('x', 1)), field(12, value(`v${nodes}`, 1)));
}

/** A constant of so many 64-bit integers, a byte each. */
export const packedLongs = (count: number): Uint8Array =>
  model(
    field(
      5,
      message(
        field(8, 'c'),
        number(2, 7),
        field(1, Uint8Array.from(varint(count))),
        field(7, new Uint8Array(count)),
      ),
    ),
    field(1, node('Relu', ['x'], 'y')),
    field(11, value('x', 1)),
    field(12, value('y', 1)),
  );

/** Graphs within attributes within graphs. */
export function nested(depth: number): Uint8Array {
  let graph: Uint8Array = field(1, node('Relu', ['x'], 'y'));
  for (let i = 0; i < depth; i++)
    graph = field(
      1,
      node('If', ['x'], 'y', field(5, message(field(1, 'a'), number(20, 5), field(6, graph)))),
    );
  return model(graph, field(11, value('x', 1)), field(12, value('y', 1)));
}

/** Inner graphs that each see all values before them: reading them must not copy what is seen. */
export function manyInner(nodes: number): Uint8Array {
  const inner = field(
    5,
    message(field(1, 'then_branch'), number(20, 5), field(6, message(field(12, value('q', 1))))),
  );
  const parts = Array.from({ length: nodes }, (_, i) =>
    field(1, i < nodes / 2 ? node('Relu', ['x'], `v${i}`) : node('If', ['x'], `v${i}`, inner)),
  );
  return model(Buffer.concat(parts), field(11, value('x', 1)), field(12, value('v0', 1)));
}

export const named = (op: string): Uint8Array =>
  model(field(1, node(op, ['x'], 'y')), field(11, value('x', 1)), field(12, value('y', 1)));
