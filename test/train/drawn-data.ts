import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import wavefile from 'wavefile';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';

const rng = Xoshiro128.fromSeed(4);
const uniform = (low: number, high: number): number => low + (high - low) * rng.next();

/** Drawn shapes of three classes, of changing size, place, colour and size of picture. */
export async function drawShapes(folder: string, count: number): Promise<void> {
  /** Whether a point, seen from the shape's centre, is on its line. */
  const outlines = {
    circle: (x: number, y: number, r: number) => Math.abs(Math.hypot(x, y) - r) < 1.5,
    cross: (x: number, y: number, r: number) =>
      Math.max(Math.abs(x), Math.abs(y)) < r && Math.abs(Math.abs(x) - Math.abs(y)) < 2,
    square: (x: number, y: number, r: number) => Math.abs(Math.max(Math.abs(x), Math.abs(y)) - r) < 1.5,
  };
  for (const [name, isOn] of Object.entries(outlines)) {
    await mkdir(join(folder, name), { recursive: true });
    for (let i = 0; i < count; i++) {
      const side = i % 2 === 0 ? 24 : 30;
      const colour = [0, 1, 2].map(() => uniform(0, 110));
      const [x, y, r] = [uniform(0.4, 0.6) * side, uniform(0.4, 0.6) * side, uniform(5, 8)];
      const pixels = Uint8Array.from({ length: side * side * 3 }, (_, at) => {
        const [u, v] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side)];
        return isOn(u - x, v - y, r) ? (colour[at % 3] as number) : 215 + uniform(-10, 10);
      });
      const image = sharp(pixels, { raw: { width: side, height: side, channels: 3 } });
      const path = join(folder, name, String(i).padStart(3, '0'));
      await (i % 3 === 0 ? image.jpeg().toFile(`${path}.jpg`) : image.png().toFile(`${path}.png`));
    }
  }
}

/** Half a second of a low tone, a high tone or noise. */
export async function recordSounds(folder: string, count: number): Promise<void> {
  const samples = {
    high: () => tone(uniform(1500, 3000)),
    low: () => tone(uniform(150, 500)),
    noise: () => () => 0.2 * gaussian(rng),
  };
  for (const [name, make] of Object.entries(samples)) {
    await mkdir(join(folder, name), { recursive: true });
    for (let i = 0; i < count; i++) {
      const sample = make();
      const wav = new wavefile.WaveFile();
      const values = Array.from({ length: 3500 + 40 * i }, (_, n) => Math.max(-1, Math.min(1, sample(n))));
      wav.fromScratch(
        1,
        8000,
        '16',
        values.map((value) => Math.round(32_767 * value)),
      );
      await writeFile(join(folder, name, `${i}.wav`), wav.toBuffer());
    }
  }
}

const tone = (hz: number) => {
  const loudness = uniform(0.2, 0.8);
  return (n: number): number => loudness * Math.sin((2 * Math.PI * hz * n) / 8000) + 0.02 * gaussian(rng);
};
