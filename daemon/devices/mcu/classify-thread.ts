import { parentPort, workerData } from 'node:worker_threads';
import { type Classifier, classesOf } from '../../../firmware-bridge/compiler/index.js';

/** What one thread of `classifyInThreads` is given; it answers with the classes. */
export interface ClassifyJob {
  readonly classifier: Classifier;
  readonly values: Float32Array;
  readonly count: number;
}

const { classifier, values, count } = workerData as ClassifyJob;
parentPort?.postMessage(classesOf(classifier, values, count));
