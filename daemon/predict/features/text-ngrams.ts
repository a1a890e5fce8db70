import type { Features } from '../contract.js';

/** Buckets that n-grams are hashed into: few, since few networks are measured. */
const buckets = 48;

/**
 * Hashed n-grams (n = 1 to 3) of operators in a network's canonical text, in the manner of ONNX-Net's text form without its
 * language model: what the features say is which operators follow each other and how often, for networks of any space.
 * Names, weights and shapes are left out; sizes are for the roofline's totals to tell.
 */
export function textNgrams(canonical: string): Features {
  const operators = canonical.split('\n').flatMap((line) => {
    const match = /= (?<op>[\w.]+)\([^)]*\) \{(?<attributes>.*)\}$/.exec(line)?.groups;
    return match ? [`${match.op}${kernelOf(match.attributes as string)}`] : [];
  });
  const out = new Map<string, number>();
  for (let n = 1; n <= 3; n++) {
    for (let start = 0; start + n <= operators.length; start++) {
      const bucket = `text ${hash(operators.slice(start, start + n).join(' ')) % buckets}`;
      out.set(bucket, (out.get(bucket) ?? 0) + 1);
    }
  }
  return out;
}

/** A depthwise and a pointwise convolution are words of their own. */
function kernelOf(attributes: string): string {
  const kernel = /kernel_shape=\[([\d,]+)\]/.exec(attributes)?.[1];
  const grouped = /group=(\d+)/.exec(attributes)?.[1] ?? '1';
  return kernel ? `:${kernel}${grouped === '1' ? '' : ':grouped'}` : '';
}

/** FNV-1a (Fowler, Noll and Vo), 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
