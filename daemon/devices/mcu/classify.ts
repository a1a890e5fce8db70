import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { CompiledNetwork } from '../../../firmware-bridge/compiler/index.js';
import { HildaError } from '../../core/errors.js';
import type { Examples } from '../contract.js';
import type { ClassifyJob } from './classify-thread.js';

/** A thread takes a tenth of a second to start and warm up: fewer examples are not worth one. */
const leastExamples = 50;
const mostThreads = 4;

/**
 * The classes that the program answers, computed in threads of their own: the integer reference takes seconds for
 * hundreds of images, and the daemon must answer meanwhile. Throws INTERRUPTED on abort.
 */
export async function classifyInThreads(
  compiled: CompiledNetwork,
  { values, count }: Pick<Examples, 'values' | 'count'>,
  { signal }: { readonly signal: AbortSignal },
): Promise<Uint16Array> {
  const { program, input } = compiled;
  const { name, dims, layout, quantisation } = input;
  // Only what can be sent to a thread.
  const classifier = { program, input: { name, dims, layout, quantisation } as CompiledNetwork['input'] };
  const threads = Math.max(
    1,
    Math.min(availableParallelism(), mostThreads, Math.floor(count / leastExamples)),
  );
  const bounds = Array.from({ length: threads + 1 }, (_, i) => Math.round((i * count) / threads));
  const size = values.length / count;
  const parts = await Promise.all(
    bounds.slice(1).map((to, i) => {
      const from = bounds[i] as number;
      return inThread({ classifier, values: values.slice(from * size, to * size), count: to - from }, signal);
    }),
  );
  const classes = new Uint16Array(count);
  for (const [i, part] of parts.entries()) classes.set(part, bounds[i]);
  return classes;
}

function inThread(job: ClassifyJob, signal: AbortSignal): Promise<Uint16Array> {
  const worker = new Worker(new URL('./classify-thread.js', import.meta.url), { workerData: job });
  let interrupted = (): void => {};
  return new Promise<Uint16Array>((resolve, reject) => {
    interrupted = () =>
      reject(new HildaError('INTERRUPTED', 'the call was aborted', { cause: signal.reason }));
    if (signal.aborted) return interrupted();
    signal.addEventListener('abort', interrupted, { once: true });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () =>
      reject(new HildaError('INTERNAL', 'the thread that classifies ended without an answer')),
    );
  }).finally(() => {
    signal.removeEventListener('abort', interrupted);
    return worker.terminate();
  });
}
