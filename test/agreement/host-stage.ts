import { modelBytes } from '../../daemon/network/model-source.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import type { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compared } from './graph-stages.js';
import { feeds, type OnnxCase } from './onnx-cases.js';
import { type Given, numbers, runOnce } from './onnxruntime.js';
import { skipped, type Verdict } from './verdict.js';

/** A measurement's own way to the host: the bytes it loads, in the process it uses, on the stored inputs. */
export async function hostStage(test: OnnxCase, runtime: SessionProcess): Promise<Verdict> {
  const given = feeds(test);
  if (!given) return skipped('an input is no tensor');
  let expected: Record<string, Given>;
  try {
    expected = await runOnce(test.bytes, given, 'all');
  } catch (error) {
    return skipped((error as Error).message.slice(0, 200));
  }
  const { handle } = await runtime.load(modelBytes(readOnnx(test.bytes)));
  const answered = (await runtime.run(handle, given as RuntimeTensors)) as Record<string, Given>;
  await runtime.release(handle);
  const random = drawsAtRandom(test.bytes);
  return compared(expected, answered, (name, why) => {
    if (!why.startsWith('element')) return false;
    return random || near(numbers(answered[name] as Given), numbers(expected[name] as Given));
  });
}

/** Another optimiser's order of sums: a few units in the last place of the largest element. */
const near = (a: Float64Array, b: Float64Array): boolean => {
  const peak = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.every((value, i) => Object.is(value, b[i]) || Math.abs(value - (b[i] as number)) <= 1e-6 * peak);
};

/** Whether an operator of the model, or of the function that it stands for, draws numbers in each process anew. */
const drawsAtRandom = (bytes: Uint8Array): boolean =>
  /Random(Normal|Uniform)|Bernoulli|Multinomial|Dropout/.test(Buffer.from(bytes).toString('latin1'));
