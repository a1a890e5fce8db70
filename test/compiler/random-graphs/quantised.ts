import { type Given, numbers } from '../../agreement/onnxruntime.js';
import type { Draft, NodeDraft } from './draft.js';
import { anyValue } from './elementwise.js';
import { imageOf } from './windows.js';

/** Networks that bring their own scales, and whole numbers as inputs. */
interface Scale {
  readonly scale: string;
  readonly zero: string;
}

const out = (node: NodeDraft): string => node.outputs[0] as string;

function scaleFor(d: Draft, peak: number, signed: boolean): Scale {
  const data = signed
    ? Int8Array.of(d.chance(0.5) ? 0 : d.int(-10, 10))
    : Uint8Array.of(d.pick([128, 120, 0]));
  return {
    scale: d.floats([peak / 127], []),
    zero: d.constant({ type: signed ? 'int8' : 'uint8', dims: [], data }),
  };
}

const peakOf = (d: Draft, name: string): number =>
  numbers(d.values.get(name) as Given).reduce((most, value) => Math.max(most, Math.abs(value)), 0.1);

/** A value through QuantizeLinear and DequantizeLinear, with a scale of the model's own choice. */
const pair = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 10) return undefined;
  const x = anyValue(d);
  const { scale, zero } = scaleFor(d, peakOf(d, x) * d.pick([1, 1, 0.6]), d.chance(0.5));
  const quantised = d.node('QuantizeLinear', [x, scale, zero]);
  return [quantised, d.node('DequantizeLinear', [out(quantised), scale, zero])];
};

function bytes(d: Draft, dims: readonly number[], signed: boolean): string {
  const length = dims.reduce((a, b) => a * b, 1);
  const draw = (): number => (signed ? d.int(-100, 100) : d.int(20, 230));
  return d.constant({
    type: signed ? 'int8' : 'uint8',
    dims,
    data: signed ? Int8Array.from({ length }, draw) : Uint8Array.from({ length }, draw),
  });
}

/** QLinearMatMul between a quantised activation and constant weights. */
const qlinearMatMul = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 10) return undefined;
  const x = d.valueOr(
    (dims) => dims.length >= 2,
    () => [d.int(1, 3), d.int(1, 6)],
  );
  const signed = d.chance(0.5);
  const [depth, width] = [d.dims(x).at(-1) as number, d.int(1, 6)];
  const [a, w, y] = [scaleFor(d, peakOf(d, x), signed), scaleFor(d, 1, signed), scaleFor(d, 3, signed)];
  const quantised = d.node('QuantizeLinear', [x, a.scale, a.zero]);
  const product = d.node('QLinearMatMul', [
    out(quantised),
    a.scale,
    a.zero,
    bytes(d, [depth, width], signed),
    w.scale,
    w.zero,
    y.scale,
    y.zero,
  ]);
  const nodes = [quantised, product];
  return d.chance(0.3) ? nodes : [...nodes, d.node('DequantizeLinear', [out(product), y.scale, y.zero])];
};

const qlinearConv = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 10) return undefined;
  const x = imageOf(d);
  const [, channels = 1, ...sizes] = d.dims(x);
  if (sizes.length !== 2) return undefined;
  const signed = d.chance(0.5);
  const outputs = d.int(1, 4);
  const kernel = sizes.map((size) => d.int(1, Math.min(3, size)));
  const [a, w, y] = [scaleFor(d, peakOf(d, x), signed), scaleFor(d, 1, signed), scaleFor(d, 4, signed)];
  const quantised = d.node('QuantizeLinear', [x, a.scale, a.zero]);
  const weights = bytes(d, [outputs, channels, ...kernel], signed);
  const bias = d.constant({
    type: 'int32',
    dims: [outputs],
    data: Int32Array.from({ length: outputs }, () => d.int(-900, 900)),
  });
  const inputs = [out(quantised), a.scale, a.zero, weights, w.scale, w.zero, y.scale, y.zero];
  const conv = d.node('QLinearConv', d.chance(0.6) ? [...inputs, bias] : inputs, {
    ...(d.chance(0.5) && {
      pads: { ints: kernel.flatMap((k) => [k >> 1]).concat(kernel.map((k) => k >> 1)) },
    }),
  });
  return [quantised, conv, d.node('DequantizeLinear', [out(conv), y.scale, y.zero])];
};

/** Rows of a table by whole numbers that come from outside. */
const embedding = (d: Draft): NodeDraft[] => {
  const rows = d.int(2, 9);
  const count = d.int(1, 4);
  const name = d.wholeInput([1, count], rows);
  return [d.node('Gather', [d.weight([rows, d.int(1, 6)], 0.7), name])];
};

export const quantisedMakers = [pair, pair, qlinearMatMul, qlinearConv, embedding];
