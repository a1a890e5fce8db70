import { type Rules, rule, type Step } from '../step.js';
import { paddingOf, padsOf, positive, spatial, toChannelsFirst, toChannelsLast } from './windows.js';

/** Positions outside the input count neither for the mean nor for the maximum. */
function pool(step: Step, op: string): void {
  const [, height, width] = spatial(step, 0);
  const strides = [step.intOption(2), step.intOption(1)];
  const kernel = [step.intOption(4), step.intOption(3)];
  positive(step, 'a size or stride', ...kernel, ...strides);
  const sides = [height, width].map((size, i) =>
    paddingOf(step, step.byteOption(0), {
      size,
      kernel: kernel[i] as number,
      stride: strides[i] as number,
      dilation: 1,
    }),
  );
  const x = step.transpose(step.float(0), toChannelsFirst);
  const y = step.emit(op, [x], { kernel_shape: kernel, strides, pads: padsOf(sides) });
  step.give(step.transpose(y, toChannelsLast), { activation: step.byteOption(5) });
}

export const poolingRules: Rules = {
  AVERAGE_POOL_2D: rule('Pool2D', 6, 3, [1, 1], (step) => pool(step, 'AveragePool')),
  MAX_POOL_2D: rule('Pool2D', 6, 3, [1, 1], (step) => pool(step, 'MaxPool')),
};
