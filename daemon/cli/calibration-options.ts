import { type Command, InvalidArgumentError } from 'commander';

/** How a command is told what the network will see. */
export interface CalibrationOptions {
  readonly calibration: readonly string[];
  readonly pixels?: readonly number[];
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly layout?: 'NCHW' | 'NHWC';
  /** A file of ranges, in place of inputs. */
  readonly ranges?: string;
}

export const randomNote = 'no --calibration: the 8-bit scales come from random inputs';

export const withCalibrationOptions = (command: Command): Command =>
  command
    .option(
      '-c, --calibration <source...>',
      'inputs that the network will see, for its 8-bit scales: .npy, .npz, .json, float32 files, images or a folder of them; INPUT=SOURCE where there are several inputs',
      [],
    )
    .option('--ranges <file>', 'the ranges that `hilda search export` wrote, in place of --calibration')
    .option('--pixels <low,high>', 'what pixel values 0 and 255 become (default: 0,1)', numbers)
    .option('--mean <numbers>', 'subtracted from images, one number a channel', numbers)
    .option('--std <numbers>', 'what images are divided by then, one number a channel', numbers)
    .option('--layout <layout>', 'NCHW or NHWC, where the shape of an image input does not tell', layout);

function numbers(text: string): readonly number[] {
  const values = text.split(',').map(Number);
  if (text.trim() !== '' && values.every(Number.isFinite)) return values;
  throw new InvalidArgumentError('It must be numbers, with commas between them.');
}

function layout(text: string): string {
  if (text === 'NCHW' || text === 'NHWC') return text;
  throw new InvalidArgumentError('It must be NCHW or NHWC.');
}
