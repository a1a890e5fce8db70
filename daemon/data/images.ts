import type { Sharp } from 'sharp';
import { HildaError } from '../core/errors.js';
import type { ArraySource } from './contract.js';
import { readWholeFile } from './file-bytes.js';
import { filesAsExamples } from './files.js';
import { invalid } from './invalid.js';

export interface ImageOptions {
  /** Stretched to it where an image has another; default: the images' own, which must then be one. */
  readonly size?: { readonly height: number; readonly width: number };
  readonly channels?: 1 | 3;
  readonly layout?: 'NCHW' | 'NHWC';
  /** What the pixel values 0 and 255 become, before mean and deviation; default 0 and 1. */
  readonly range?: readonly [number, number];
  /** Subtracted, then divided by: one a channel. */
  readonly mean?: readonly number[];
  readonly deviation?: readonly number[];
}

export const imageFile = /\.(png|jpe?g)$/i;

const maxImageBytes = 64 * 2 ** 20;
const maxPixels = 64 * 2 ** 20;

/** The native module, loaded at its first use: what reads no images works without it. Throws DATA_INVALID. */
async function loadSharp(): Promise<typeof import('sharp')['default']> {
  try {
    const { default: sharp } = await import('sharp');
    // Decoded images are used once: a cache would only hold memory.
    sharp.cache(false);
    // Only these two parsers ever see a person's bytes, by content and not by name.
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: ['VipsForeignLoadPng', 'VipsForeignLoadJpeg'] });
    return sharp;
  } catch (cause) {
    throw new HildaError(
      'DATA_INVALID',
      'images cannot be read here: the native module sharp does not load',
      {
        cause,
        hint: 'Run npm run setup: it installs the modules for this version of Node.js.',
      },
    );
  }
}

/**
 * PNG and JPEG files as float32 examples [1, channels, height, width], or [1, height, width, channels] with layout NHWC.
 * Pixels are the stored ones, 16-bit samples cut to 8, turned as EXIF says, without transparency and colour profile.
 * Grey is 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601). Resizing is bilinear, over the whole area when it shrinks.
 * Throws DATA_INVALID naming the file that does not decode or has another size.
 */
export async function openImages(
  name: string,
  paths: readonly string[],
  options: ImageOptions = {},
): Promise<ArraySource> {
  const { channels = 3, layout = 'NCHW' } = options;
  const scale = scaleOf(options, channels, name);
  const { height, width } = options.size ?? (await commonSize(paths));
  const dims = layout === 'NCHW' ? [1, channels, height, width] : [1, height, width, channels];
  return filesAsExamples(name, paths, dims, async (path) => {
    const pixels = await decodeImage(path, { height, width, channels });
    const values = new Float32Array(pixels.length);
    const area = height * width;
    for (let i = 0; i < pixels.length; i++) {
      const c = i % channels;
      const at = layout === 'NCHW' ? c * area + (i - c) / channels : i;
      values[at] = scale(pixels[i] as number, c);
    }
    return values;
  });
}

/** Pixels 0 to 255, [height, width, channels]. */
async function decodeImage(
  path: string,
  { height, width, channels }: { readonly height: number; readonly width: number; readonly channels: 1 | 3 },
): Promise<Uint8Array> {
  const bytes = await readWholeFile(path, maxImageBytes);
  await checkImage(path, bytes);
  const image = (await open(bytes))
    .removeAlpha()
    .toColourspace('srgb')
    .resize({ height, width, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
  const { data, info } = await decoding(
    path,
    image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }),
  );
  if (info.height !== height || info.width !== width || (info.channels !== 1 && info.channels !== 3))
    throw invalid(`${path} decodes to ${info.width} x ${info.height} x ${info.channels}`);
  return withChannels(data, info.channels, channels);
}

function withChannels(pixels: Uint8Array, from: 1 | 3, to: 1 | 3): Uint8Array {
  if (from === to) return pixels;
  const count = pixels.length / from;
  if (from === 1)
    return Uint8Array.from({ length: 3 * count }, (_, i) => pixels[Math.floor(i / 3)] as number);
  return Uint8Array.from({ length: count }, (_, i) => {
    const [r, g, b] = [pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]] as [number, number, number];
    return Math.round((299 * r + 587 * g + 114 * b) / 1000);
  });
}

/** Height and width that all images share, read from their headers. Throws DATA_INVALID naming two that differ. */
async function commonSize(
  paths: readonly string[],
): Promise<{ readonly height: number; readonly width: number }> {
  let first: { readonly height: number; readonly width: number } | undefined;
  for (const path of paths) {
    const size = await checkImage(path, await readWholeFile(path, maxImageBytes));
    first ??= size;
    if (size.height !== first.height || size.width !== first.width)
      throw invalid(
        `${path} is ${size.width} x ${size.height}, but ${paths[0]} is ${first.width} x ${first.height}`,
        { hint: 'State the size that all images are brought to.' },
      );
  }
  return first as { readonly height: number; readonly width: number };
}

/** Height and width as the image is shown. */
async function checkImage(
  path: string,
  bytes: Uint8Array,
): Promise<{ readonly height: number; readonly width: number }> {
  const { format, space, pages = 1, autoOrient } = await decoding(path, (await open(bytes)).metadata());
  if (format !== 'png' && format !== 'jpeg')
    throw invalid(`${path} is a ${format} file; PNG and JPEG are read`);
  if (!['srgb', 'b-w', 'rgb16', 'grey16'].includes(space))
    throw invalid(`${path} has the colour space ${space}; RGB and grey are read`);
  if (pages !== 1) throw invalid(`${path} holds ${pages} images`);
  return autoOrient;
}

const open = async (bytes: Uint8Array): Promise<Sharp> =>
  (await loadSharp())(bytes, {
    limitInputPixels: maxPixels,
    failOn: 'warning',
    ignoreIcc: true,
    autoOrient: true,
  });

async function decoding<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw invalid(`${path} does not decode: ${(cause as Error).message}`, { cause });
  }
}

function scaleOf(
  { range = [0, 1], mean, deviation }: ImageOptions,
  channels: number,
  name: string,
): (pixel: number, channel: number) => number {
  const [low, high] = range;
  const [means, deviations] = [mean ?? Array(channels).fill(0), deviation ?? Array(channels).fill(1)];
  if (means.length !== channels || deviations.length !== channels)
    throw invalid(`${name}: mean and deviation need one number for each of the ${channels} channels`);
  if (deviations.some((value) => !(value > 0))) throw invalid(`${name}: a deviation is not above 0`);
  return (pixel, c) => (low + ((high - low) * pixel) / 255 - means[c]) / deviations[c];
}
