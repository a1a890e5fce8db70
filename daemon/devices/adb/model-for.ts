import { HildaError } from '../../core/errors.js';
import { referenceNetworks } from '../../measure/references.js';
import { tfliteReferences } from '../../measure/tflite-references.js';
import type { Graph } from '../../network/graph.js';
import { tfliteOf } from '../../network/model-source.js';
import { writeOnnx } from '../../network/write-onnx.js';
import type { ModelFormat, Runner } from './runners/runner.js';

/**
 * The file that a runner gets for a network. A TensorFlow Lite runner takes the user's own file, never a conversion. Throws
 * RUNNER_MISMATCH.
 */
export function modelFor(network: Graph, { name, takes }: Runner): Uint8Array {
  if (takes === 'onnx') return writeOnnx(network);
  const file = tfliteOf(network);
  if (file) return file;
  throw new HildaError(
    'RUNNER_MISMATCH',
    `${name} reads TensorFlow Lite files, and the network ${network.name || 'given'} is an ONNX graph`,
  );
}

/** The reference networks as the runner reads them. */
export function referenceModels(
  takes: ModelFormat,
): Readonly<Record<'convolution' | 'transformer', Uint8Array>> {
  if (takes === 'tflite') return tfliteReferences();
  const { convolution, transformer } = referenceNetworks();
  return { convolution: writeOnnx(convolution), transformer: writeOnnx(transformer) };
}
