import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

/** One matrix product with about this many bytes of weights. */
export function heavyNetwork(bytes: number, name = `heavy-${bytes}`): Graph {
  const builder = new GraphBuilder({ name });
  const width = Math.round(Math.sqrt(bytes / 4));
  const x = builder.input('x', 'float32', [1, width]);
  const weights = new Float32Array(width * width);
  for (let i = 0; i < weights.length; i++) weights[i] = ((i * 7919) % 1000) / 1000;
  builder.output(builder.matMul(x, builder.constant('w', floatTensor([width, width], weights))));
  return builder.build();
}
