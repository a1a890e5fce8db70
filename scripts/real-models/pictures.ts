import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { pick, type Rng, randomInt } from '../../daemon/core/rng.js';

/** A region of a picture, each side a share of the picture's. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Picture {
  readonly file: string;
  readonly width: number;
  readonly height: number;
  /** Where faces are, once a detector has said so. */
  readonly faces: readonly Region[];
}

export async function picturesIn(folder: string): Promise<Picture[]> {
  const files = readdirSync(folder).filter((name) => /\.(jpe?g|png)$/i.test(name));
  return Promise.all(
    files.sort().map(async (name) => {
      const file = join(folder, name);
      const { width, height } = await sharp(file).metadata();
      return { file, width, height, faces: [] };
    }),
  );
}

/** The pixels of a region at the size asked for, as bytes: HWC of three channels, or of one. */
export async function cropped(
  { file, width, height }: Picture,
  { left, top, width: w, height: h }: Region,
  size: { readonly width: number; readonly height: number; readonly channels: 1 | 3 },
  { flip, brightness }: { readonly flip: boolean; readonly brightness: number },
): Promise<Uint8Array> {
  const x = Math.round(Math.max(0, Math.min(0.98, left)) * width);
  const y = Math.round(Math.max(0, Math.min(0.98, top)) * height);
  const image = sharp(file)
    .extract({
      left: x,
      top: y,
      width: Math.max(2, Math.min(width - x, Math.round(w * width))),
      height: Math.max(2, Math.min(height - y, Math.round(h * height))),
    })
    .resize(size.width, size.height, { fit: 'fill' })
    .removeAlpha()
    .modulate({ brightness })
    .flop(flip);
  const shaped = size.channels === 1 ? image.greyscale() : image.toColourspace('srgb');
  const { data, info } = await shaped.raw().toBuffer({ resolveWithObject: true });
  if (info.channels === size.channels) return new Uint8Array(data);
  return Uint8Array.from({ length: size.width * size.height * size.channels }, (_, i) => {
    return data[Math.floor(i / size.channels) * info.channels + (i % size.channels)] as number;
  });
}

const words =
  'Energy 2024 TOTAL hilda Street 17 Museum open 08:30 No. 5 kitchen Price 12.99 quick brown fox EXIT Platform 3 WARNING sample text';
const fonts = ['DejaVu Sans', 'DejaVu Serif', 'Liberation Sans', 'DejaVu Sans Mono'];

/** A line of drawn text, dark on light or light on dark, as bytes of three channels; `turned`: at times upside down. */
export async function textLine(
  rng: Rng,
  width: number,
  height: number,
  turned: boolean,
): Promise<Uint8Array> {
  const text = Array.from({ length: 1 + randomInt(rng, 3) }, () => pick(rng, words.split(' '))).join(' ');
  const [dark, light] = [randomInt(rng, 90), 150 + randomInt(rng, 105)];
  const [ink, paper] = rng.next() < 0.7 ? [dark, light] : [light, dark];
  const grey = (value: number): string => `rgb(${value},${value + randomInt(rng, 20)},${value})`;
  const size = Math.min(height * (0.5 + 0.25 * rng.next()), (1.7 * width) / text.length);
  const turn = turned && rng.next() < 0.3 ? 180 : 6 * rng.next() - 3;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <rect width="100%" height="100%" fill="${grey(paper)}"/>
    <text x="50%" y="${50 + randomInt(rng, 12)}%" dominant-baseline="middle" text-anchor="middle" font-family="${pick(rng, fonts)}"
      font-size="${size}" fill="${grey(ink)}" transform="rotate(${turn} ${width / 2} ${height / 2})">${text}</text></svg>`;
  // Lines are drawn side by side: what is random must be drawn before anything is waited for.
  const noise = Int8Array.from({ length: width * height * 3 }, () => randomInt(rng, 13) - 6);
  const { data, info } = await sharp(Buffer.from(svg))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return Uint8Array.from(noise, (by, i) =>
    Math.min(255, Math.max(0, (data[Math.floor(i / 3) * info.channels + (i % 3)] as number) + by)),
  );
}
