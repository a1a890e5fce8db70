import type { Operator, View } from './operators.js';

interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** Axes that one TRANSPOSE moves (ABI.md). */
const maxAxes = 4;

/** Steps that one rearrangement may take. */
const maxSteps = 256;

/**
 * The steps that bring elements into another order: `axes` of the result, outermost first, with their byte strides in what
 * is read. Up to four axes move in one step; of more, the outer ones are walked one by one. Undefined where that takes too
 * many steps.
 */
export function moveAxes(
  axes: readonly Axis[],
  read: View,
  write: View,
): readonly Pick<Operator, 'body' | 'reads' | 'write'>[] | undefined {
  const outer = axes.slice(0, Math.max(0, axes.length - maxAxes));
  const inner = axes.slice(outer.length);
  const count = outer.reduce((product, { size }) => product * size, 1);
  if (count > maxSteps) return undefined;
  const body = {
    kind: 'transpose',
    dims: inner.map(({ size }) => size),
    strides: inner.map(({ stride }) => stride),
  } as const;
  if (count === 1) return [{ body, reads: [{ view: read, access: 'all' }], write }];
  const span = inner.reduce((sum, { size, stride }) => sum + (size - 1) * stride, 1);
  const block = inner.reduce((product, { size }) => product * size, 1);
  return Array.from({ length: count }, (_, i) => {
    let [rest, from] = [i, read.offset];
    for (const { size, stride } of [...outer].reverse()) {
      from += (rest % size) * stride;
      rest = Math.floor(rest / size);
    }
    const view: View = { ...read, offset: from, rowStride: span, width: span };
    const to: View = { ...write, offset: write.offset + i * block, rowStride: block, width: block };
    return { body, reads: [{ view, access: 'all' as const }], write: to };
  });
}
