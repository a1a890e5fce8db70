/** Entry of the child process that decodes people's files: what they do to its memory and time ends with it. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asHildaError, HildaError } from '../core/errors.js';
import { packGraph } from '../network/graph-message.js';
import { checkNetworkLimits } from '../network/limits.js';
import { sourceOf, tfliteOf } from '../network/model-source.js';
import { serveParent } from '../runtime/serve-parent.js';
import type {
  Given,
  HandedData,
  ReadingConversation,
  ReadModel,
  ReadRequest,
  SourceBytes,
} from './messages.js';

type Answers = ReadingConversation['answers'];
type Of<Op extends ReadRequest['op']> = Extract<ReadRequest, { readonly op: Op }>;

/** What reads data is loaded by the first who asks: most children read models alone. */
async function serve(request: ReadRequest): Promise<unknown> {
  switch (request.op) {
    case 'model':
      return readModelOf(request);
    case 'labelled':
      return handOver(request);
    case 'examples':
      return examplesOf(request);
    case 'tensor':
      return tensorOf(request);
    case 'json':
      return (await import('./read-here.js')).readHere.json(request.file);
    case 'tables':
      return (await import('./read-here.js')).readHere.tables(request.files, request.format);
    case 'figures':
      return (await import('./read-here.js')).readHere.figures(request.files, request.device);
  }
}

async function readModelOf({ model }: Of<'model'>): Promise<ReadModel> {
  const { readModel } = await import('./read-model.js');
  const bytes = await contentOf(model);
  const graph = await readModel(bytes);
  checkNetworkLimits(graph);
  const named = (own: Uint8Array | undefined): SourceBytes | undefined => (own === bytes ? 'given' : own);
  const [source, tflite] = [named(sourceOf(graph)), named(tfliteOf(graph))];
  return { graph: packGraph(graph), ...(source && { source }), ...(tflite && { tflite }) };
}

const contentOf = async (given: Given): Promise<Uint8Array> =>
  typeof given === 'string' ? readFile(given) : given;

async function examplesOf({ piece, inputs, folder }: Of<'examples'>): Promise<Answers['examples']> {
  const [{ readExamples }, { gatherElements }, { writeArray }] = await Promise.all([
    import('./read-examples.js'),
    import('../runtime/calibration-data.js'),
    import('./array-files.js'),
  ]);
  const examples = await readExamples(await contentOf(piece), inputs);
  const elements = await gatherElements(inputs, examples);
  const files = elements.map((_, i) => join(folder, `input-${i}`));
  for (const [i, bytes] of elements.entries()) await writeArray(files[i] as string, bytes);
  return { count: examples.count, files };
}

async function tensorOf({ array, dtype, name, folder }: Of<'tensor'>): Promise<Answers['tensor']> {
  const [{ readTensor }, { writeArray }] = await Promise.all([
    import('./read-examples.js'),
    import('./array-files.js'),
  ]);
  const { dims, data } = await readTensor(await contentOf(array), dtype, name);
  const file = join(folder, 'elements');
  await writeArray(file, data);
  return { dims, file };
}

async function handOver({ spec, expected, folder }: Of<'labelled'>): Promise<HandedData> {
  const [{ readHere }, { writeArray }] = await Promise.all([
    import('./read-here.js'),
    import('./array-files.js'),
  ]);
  const { record, train, calibration, validation } = await readHere.labelled(spec, expected);
  const handed = async ({ pixels, ...part }: typeof train, name: string): Promise<HandedData['train']> => {
    const file = join(folder, name);
    await writeArray(file, pixels);
    return { ...part, labels: part.labels.slice(), file };
  };
  return {
    record,
    train: await handed(train, 'train'),
    calibration: await handed(calibration, 'calibration'),
    validation: await handed(validation, 'validation'),
  };
}

/** A file that nests deeper than the stack is the file's fault. */
const failure = (thrown: unknown): HildaError =>
  thrown instanceof RangeError
    ? new HildaError('NETWORK_TOO_LARGE', `the file cannot be read: ${thrown.message}`, { cause: thrown })
    : asHildaError(thrown);

serveParent(serve, failure);
