import { protocolSchema } from '../measure/protocol.js';
import { floatTensor, type Graph } from '../network/graph.js';
import { GraphBuilder } from '../network/graph-builder.js';

/** Short and lenient: contract suites ask for form and behaviour, not for quiet hardware. */
export const contractProtocol = protocolSchema.parse({
  name: 'contract',
  warmupBlock: 2,
  warmupTolerance: 0.5,
  warmupMaxMs: 50,
  runsPerLeg: 3,
  minRounds: 3,
  maxRounds: 6,
  maxMs: 500,
  ciHalfWidth: 0.2,
  referenceTolerance: 2,
});

/** y = relu(w * x), w a 1 x 1 convolution that doubles each channel. */
export function doublingNetwork(channels = 4, size = 8): Graph {
  const builder = new GraphBuilder({ name: 'doubling' });
  const x = builder.input('x', 'float32', [1, channels, size, size]);
  const diagonal = Float32Array.from({ length: channels * channels }, (_, i) =>
    i % (channels + 1) === 0 ? 2 : 0,
  );
  builder.output(
    builder.relu(builder.conv(x, builder.constant('w', floatTensor([channels, channels, 1, 1], diagonal)))),
  );
  return builder.build();
}
