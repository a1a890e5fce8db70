import type { Emitter } from './emitter.js';

export type AttentionKind = 'mha' | 'gqa' | 'mqa' | 'sqa' | 'xsqa' | 'linear';

/** Heads of queries, and of keys and values, where the full layer has `heads` of both. */
function headsOf(kind: AttentionKind, heads: number): { readonly query: number; readonly keyValue: number } {
  const part = (by: number): number => Math.max(1, Math.floor(heads / by));
  switch (kind) {
    case 'mha':
    case 'linear':
      return { query: heads, keyValue: heads };
    case 'gqa': // Ainslie et al. 2023: groups of query heads share keys and values.
      return { query: heads, keyValue: part(4) };
    case 'mqa': // Shazeer 2019.
      return { query: heads, keyValue: 1 };
    case 'sqa': // Filipek 2025: fewer query heads, so fewer scores.
      return { query: part(2), keyValue: part(2) };
    case 'xsqa':
      return { query: part(4), keyValue: part(4) };
  }
}

/**
 * Self-attention over x [batch, tokens, width], normalised before, beside an identity shortcut. Heads are `headWidth`
 * wide. `linear` replaces the softmax by elu + 1 and never forms a tokens x tokens matrix (Katharopoulos et al. 2020,
 * equation 6).
 */
export function emitAttention(
  e: Emitter,
  x: string,
  name: string,
  o: { readonly kind: AttentionKind; readonly heads: number; readonly headWidth: number },
): string {
  const { b } = e;
  const [, tokens, width] = b.dimsOf(x) as [number, number, number];
  const { query: queryHeads, keyValue } = headsOf(o.kind, o.heads);
  const group = queryHeads / keyValue;
  const normal = e.layerNorm(x, `${name}.norm`);
  // [batch, tokens, heads d] -> [batch, keyValue heads, heads of the group, tokens, d], or its last two axes swapped.
  const split = (part: string, perKey: number, swapped = false): string =>
    b.transpose(
      b.reshape(e.linear(normal, `${name}.${part}`, keyValue * perKey * o.headWidth), [
        0,
        tokens,
        keyValue,
        perKey,
        o.headWidth,
      ]),
      swapped ? [0, 2, 3, 4, 1] : [0, 2, 3, 1, 4],
    );
  const value = split('value', 1);
  let mixed: string;
  if (o.kind === 'linear') {
    const positive = (y: string): string => b.add(b.node('Elu', [y], { alpha: 1 }), b.scalar(1));
    const query = positive(split('query', group));
    const key = positive(split('key', 1, true));
    const total = b.node('ReduceSum', [key, b.ints([4])], { keepdims: 1 });
    mixed = b.node('Div', [b.matMul(query, b.matMul(key, value)), b.matMul(query, total)]);
  } else {
    const scores = b.mul(
      b.matMul(split('query', group), split('key', 1, true)),
      b.scalar(o.headWidth ** -0.5),
    );
    mixed = b.matMul(b.softmax(scores), value);
  }
  const joined = b.reshape(b.transpose(mixed, [0, 3, 1, 2, 4]), [0, tokens, queryHeads * o.headWidth]);
  return b.add(x, e.linear(joined, `${name}.project`, width));
}
