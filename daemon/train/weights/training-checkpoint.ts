import { HildaError } from '../../core/errors.js';
import { readTensorFile, writeTensorFile } from './checkpoint.js';

/** What a training run goes on from. Vectors are as long as the flat weights. */
export interface TrainingState {
  readonly step: number;
  /** Time spent so far, over all runs. */
  readonly trainedMs: number;
  readonly weights: Float32Array;
  /** The optimiser's vectors by name. */
  readonly optimizer: Readonly<Record<string, Float32Array>>;
}

/** `fingerprint` names the specification that the run belongs to. */
export async function saveTraining(path: string, fingerprint: string, state: TrainingState): Promise<void> {
  const { step, trainedMs, weights, optimizer } = state;
  const vectors = Object.entries({ ...optimizer, weights }).map(
    ([name, data]) => [name, { dims: [data.length], data }] as const,
  );
  const metadata = { step: String(step), trainedMs: String(Math.round(trainedMs)), fingerprint };
  await writeTensorFile(path, { tensors: new Map(vectors), metadata });
}

/** Undefined where there is no checkpoint. Throws SUPERNET_INVALID for a damaged one or another specification's. */
export async function loadTraining(
  path: string,
  fingerprint: string,
  length: number,
): Promise<TrainingState | undefined> {
  const file = await readTensorFile(path);
  if (!file) return undefined;
  const { weights, ...optimizer } = Object.fromEntries(
    [...file.tensors].map(([name, { data }]) => [name, data]),
  );
  if (file.metadata.fingerprint !== fingerprint || weights?.length !== length) {
    throw new HildaError('SUPERNET_INVALID', `${path} belongs to another specification`, {
      hint: 'Move it away to start afresh, or train with the specification it was made with.',
    });
  }
  return {
    step: Number(file.metadata.step),
    trainedMs: Number(file.metadata.trainedMs ?? 0),
    weights,
    optimizer,
  };
}
