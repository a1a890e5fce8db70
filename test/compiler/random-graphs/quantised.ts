import { numbers } from '../../agreement/onnxruntime.js';
import type { Draft, NodeDraft } from './draft.js';
import { anyValue } from './elementwise.js';

/** A value through QuantizeLinear and DequantizeLinear, with a scale of the model's own choice. */
const pair = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 10) return undefined;
  const x = anyValue(d);
  const given = d.values.get(x);
  if (!given) return undefined;
  const peak = numbers(given).reduce((most, value) => Math.max(most, Math.abs(value)), 0.1);
  const scale = d.floats([peak / 127], []);
  const signed = d.chance(0.5);
  const zero = d.constant({
    type: signed ? 'int8' : 'uint8',
    dims: [],
    data: signed ? Int8Array.of(d.int(-10, 10)) : Uint8Array.of(128),
  });
  const quantised = d.node('QuantizeLinear', [x, scale, zero]);
  return [quantised, d.node('DequantizeLinear', [quantised.outputs[0] as string, scale, zero])];
};

export const quantisedMakers = [pair];
