import { type Rules, rule, type Step } from '../step.js';
import { positive, spatial, toChannelsFirst, toChannelsLast } from './windows.js';

/** Largest size along an axis whose index lists are made here. */
const maxSize = 2 ** 16;

interface Sampling {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly corners: boolean;
  readonly halfPixel: boolean;
}

function samplingOf(step: Step, firstField: number): Sampling {
  const [, height, width] = spatial(step, 0);
  const to = step.ints(1, 'sizes') as [number, number];
  if (to.length !== 2) step.invalid(`the sizes [${to}] are not two`);
  positive(step, 'a size', ...to, height, width);
  const [corners, halfPixel] = [step.boolOption(firstField), step.boolOption(firstField + 1)];
  if (corners && halfPixel) step.refuse('align_corners together with half_pixel_centers is not supported');
  if (Math.max(...to) > maxSize) step.refuse(`the sizes [${to}] exceed ${maxSize}`);
  return { from: [height, width], to, corners, halfPixel };
}

const coordinatesOf = ({ corners, halfPixel }: Sampling): string =>
  corners ? 'align_corners' : halfPixel ? 'half_pixel' : 'asymmetric';

function resize(step: Step, { to }: Sampling, attributes: Readonly<Record<string, string>>): void {
  const x = step.transpose(step.float(0), toChannelsFirst);
  const [batch, channels] = step.dimsOf(x) as [number, number];
  const y = step.emit('Resize', [x, '', '', step.ints64([batch, channels, ...to])], attributes);
  step.give(step.transpose(y, toChannelsLast));
}

function bilinear(step: Step): void {
  const sampling = samplingOf(step, 2);
  resize(step, sampling, { mode: 'linear', coordinate_transformation_mode: coordinatesOf(sampling) });
}

/**
 * TensorFlow Lite counts positions in float32, so that a ratio that is no binary fraction may round to a neighbour. Where a
 * Resize would pick other positions, indices spell them out.
 */
function nearest(step: Step): void {
  const sampling = samplingOf(step, 0);
  const lists = [0, 1].map((i) => positions(sampling, i));
  const nearestMode = sampling.corners || sampling.halfPixel ? 'round_prefer_ceil' : 'floor';
  const mode = coordinatesOf(sampling);
  if (lists.every(({ lite, onnx }) => `${lite}` === `${onnx}`))
    resize(step, sampling, {
      mode: 'nearest',
      nearest_mode: nearestMode,
      coordinate_transformation_mode: mode,
    });
  else
    step.give(
      lists.reduce(
        (value, { lite }, i) => step.emit('Gather', [value, step.ints64(lite)], { axis: 1 + i }),
        step.float(0),
      ),
    );
}

/** The source position of each position along height (0) or width (1), by both definitions. */
function positions({ from, to, corners, halfPixel }: Sampling, i: number) {
  const [size, target] = [from[i] as number, to[i] as number];
  const f = Math.fround;
  const scale = corners && target > 1 ? f((size - 1) / (target - 1)) : f(size / target);
  const inside = (at: number): number => Math.min(Math.max(at, 0), size - 1);
  const lite = Array.from({ length: target }, (_, at) => {
    const exact = f(f(at + (halfPixel ? 0.5 : 0)) * scale);
    return inside(corners ? Math.floor(f(exact + 0.5)) : Math.floor(exact));
  });
  const ratio = f(target / size);
  const onnx = Array.from({ length: target }, (_, at) => {
    if (corners) return inside(target === 1 ? 0 : Math.floor(f(f(at * (size - 1)) / (target - 1)) + 0.5));
    if (halfPixel) return inside(Math.floor(f(f(f(at + 0.5) / ratio) - 0.5) + 0.5));
    return inside(Math.floor(f(at / ratio)));
  });
  return { lite, onnx };
}

/** Blocks of the image to channels or back; the position in the block counts before the channel. */
function blocks(step: Step, op: string): void {
  const [, height, width, channels] = spatial(step, 0);
  const blocksize = step.intOption(0);
  positive(step, 'the block size', blocksize);
  const fits =
    op === 'DepthToSpace'
      ? channels % blocksize ** 2 === 0
      : height % blocksize === 0 && width % blocksize === 0;
  if (!fits) step.invalid(`blocks of ${blocksize} do not fit [${step.dims(0)}]`);
  const x = step.transpose(step.float(0), toChannelsFirst);
  const attributes = { blocksize, ...(op === 'DepthToSpace' && { mode: 'DCR' }) };
  const y = step.emit(op, [x], attributes);
  step.give(step.transpose(y, toChannelsLast));
}

export const resizingRules: Rules = {
  RESIZE_BILINEAR: rule('ResizeBilinear', 4, 4, [2, 2], bilinear),
  RESIZE_NEAREST_NEIGHBOR: rule('ResizeNearestNeighbor', 2, 4, [2, 2], nearest),
  DEPTH_TO_SPACE: rule('DepthToSpace', 1, 2, [1, 1], (step) => blocks(step, 'DepthToSpace')),
  SPACE_TO_DEPTH: rule('SpaceToDepth', 1, 2, [1, 1], (step) => blocks(step, 'SpaceToDepth')),
};
