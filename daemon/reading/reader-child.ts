/** Entry of the child process that decodes people's files: what they do to its memory and time ends with it. */

import { readFile } from 'node:fs/promises';
import { asHildaError, HildaError } from '../core/errors.js';
import { packGraph } from '../network/graph-message.js';
import { checkNetworkLimits } from '../network/limits.js';
import { sourceOf, tfliteOf } from '../network/model-source.js';
import { serveParent } from '../runtime/serve-parent.js';
import type { ReadModel, ReadRequest, SourceBytes } from './messages.js';
import { readModel } from './read-model.js';

async function serve({ model }: ReadRequest): Promise<ReadModel> {
  const bytes = typeof model === 'string' ? await readFile(model) : model;
  const graph = await readModel(bytes);
  checkNetworkLimits(graph);
  const named = (own: Uint8Array | undefined): SourceBytes | undefined => (own === bytes ? 'given' : own);
  const [source, tflite] = [named(sourceOf(graph)), named(tfliteOf(graph))];
  return { graph: packGraph(graph), ...(source && { source }), ...(tflite && { tflite }) };
}

/** A file that nests deeper than the stack is the file's fault. */
const failure = (thrown: unknown): HildaError =>
  thrown instanceof RangeError
    ? new HildaError('NETWORK_TOO_LARGE', `the file cannot be read: ${thrown.message}`, { cause: thrown })
    : asHildaError(thrown);

serveParent(serve, failure);
