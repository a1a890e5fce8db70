import { HildaError } from '../../daemon/core/errors.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

export const weights = (dims: number[], seed = 1): ReturnType<typeof floatTensor> =>
  floatTensor(
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + seed)),
  );

/** A small network that uses most of the builder: convolutions, normalisation, attention-like products. */
export function sample(): Graph {
  const b = new GraphBuilder({ name: 'sample' });
  const x = b.input('image', 'float32', [1, 3, 16, 16]);
  const stem = b.clip(
    b.conv(x, b.constant('stem.w', weights([8, 3, 3, 3])), b.constant('stem.b', weights([8])), { stride: 2 }),
    0,
    6,
  );
  const bn = b.batchNorm(
    stem,
    ...(['s', 'b', 'm', 'v'].map((n) => b.constant(`bn.${n}`, floatTensor([8], Array(8).fill(1)))) as [
      string,
      string,
      string,
      string,
    ]),
  );
  const dw = b.hardSwish(b.conv(bn, b.constant('dw.w', weights([8, 1, 5, 5])), undefined, { groups: 8 }));
  const sum = b.add(dw, bn);
  const tokens = b.transpose(b.reshape(sum, [1, 8, 64]), [0, 2, 1]);
  const norm = b.layerNorm(tokens, b.constant('ln.s', weights([8])), b.constant('ln.b', weights([8])));
  const scores = b.softmax(b.matMul(norm, b.transpose(norm, [0, 2, 1])));
  const [left, right] = b.split(b.gelu(b.matMul(scores, norm)), 2, [3, 5]);
  const joined = b.concat([left as string, right as string], 2);
  const pooled = b.reshape(b.reduceMean(joined, [1], 0), [1, 8]);
  b.output(
    b.gemm(pooled, b.constant('head.w', weights([10, 8])), b.constant('head.b', weights([10]))),
    'logits',
  );
  return b.build();
}

/** The code of the error that is thrown. */
export const code = (run: () => unknown): string => {
  try {
    run();
    return 'nothing thrown';
  } catch (error) {
    return error instanceof HildaError ? error.code : String(error);
  }
};
