import { isQuantised } from '../conversion.js';
import { type Rules, rule, type Step } from '../step.js';
import { bias } from './convolution.js';

/** Places of the inputs. */
const [featureWeights, timeWeights, biases, memory] = [1, 2, 3, 4];

/**
 * One step of filters of low rank (Nakkiran et al., Interspeech 2015): each filter's feature of the input joins those of
 * the steps before, which its weights over time then sum; `rank` filters make one unit. The file keeps the features in a
 * variable: here they are an input and an output of the network, so that a run says what it starts from.
 */
function svdf(step: Step): void {
  const { conversion } = step;
  const rank = step.intOption(0);
  const x = step.float(0);
  const [sizes, weights, time] = [step.dimsOf(x), step.dims(featureWeights), step.dims(timeWeights)];
  const [batch, width] = sizes as [number, number];
  const [filters, steps] = time as [number, number];
  if (
    sizes.length !== 2 ||
    `${weights}` !== `${[filters, width]}` ||
    time.length !== 2 ||
    filters * steps === 0
  )
    step.invalid(`an input [${sizes}] does not fit weights [${weights}] and [${time}]`);
  if (!(rank > 0 && filters % rank === 0)) step.invalid(`${filters} filters have the rank ${rank}`);
  const state = step.input(memory);
  if (`${state.dims}` !== `${[batch, filters * steps]}`)
    step.invalid(`its state is [${state.dims}] for ${filters} filters over ${steps} steps`);
  if (!step.input(timeWeights).data) step.refuse('it needs constant weights over time');
  const isWhole = isQuantised(step.input(0));
  if (isWhole !== isQuantised(state))
    step.refuse(`an input of ${step.input(0).type} with a state of ${state.type} is not supported`);
  // TensorFlow Lite's integers leave these zero points out.
  for (const place of [featureWeights, timeWeights])
    if (isWhole && step.input(place).quantisation?.zeroPoints.some((zero) => zero !== 0))
      step.refuse(`weights with a zero point (input ${place}) are not supported`);

  const index = step.index(memory);
  const before = step.reshape(conversion.variable(index), [batch, filters, steps]);
  const feature = step.emit('Gemm', [x, step.float(featureWeights)], { transB: 1 });
  const parameters = isWhole ? conversion.parameters(index) : undefined;
  const kept = parameters ? step.emit('QuantizeLinear', [feature, ...parameters]) : feature;
  const newest = step.reshape(kept, [batch, filters, 1]);
  const after =
    steps === 1 ? newest : step.emit('Concat', [sliceFrom(step, before, steps), newest], { axis: 2 });
  conversion.leave(index, step.reshape(after, [batch, filters * steps]));

  const features = parameters ? step.emit('DequantizeLinear', [after, ...parameters]) : after;
  const units = filters / rank;
  const overTime = step.reshape(step.float(timeWeights), [units, rank, steps]);
  const added = bias(step, biases, memory, timeWeights);
  const sums = step.emit('Conv', [features, overTime, ...(added ? [added] : [])], {
    kernel_shape: [steps],
    group: units,
  });
  step.give(step.reshape(sums, [batch, units]), { activation: step.byteOption(1) });
}

/** What all steps but the oldest left. */
const sliceFrom = (step: Step, before: string, steps: number): string =>
  step.emit('Slice', [before, step.ints64([1]), step.ints64([steps]), step.ints64([2])]);

export const svdfRules: Rules = {
  SVDF: rule('SVDF', 3, 4, [5, 5], svdf),
};
