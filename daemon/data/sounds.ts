import type { ArraySource } from './contract.js';
import { filesAsExamples } from './files.js';
import { invalid } from './invalid.js';
import { frameCount, type MelOptions, melFeatures, melFilters } from './mel.js';
import { resample } from './resample.js';
import { readWav } from './wav.js';

export interface SoundOptions {
  /** Recordings of another rate are brought to it (`resample`); default: the recordings' own, which must then be one. */
  readonly sampleRate?: number;
  /** Of one example: recordings are cut or filled with silence at their end; default: all must be as long as the first. */
  readonly samples?: number;
  /** Features in place of samples; its sample rate is that of the examples. */
  readonly mel?: MelOptions;
}

/** Of one recording, where no number is stated: an hour and a half at 48 kHz. */
const maxSamples = 2 ** 28;

/**
 * WAV files as float32 examples: [1, 1, 1, samples], or [1, 1, bands, frames] with a mel front end. Throws DATA_INVALID
 * naming the file that is damaged, or that differs in rate or length where neither is stated.
 */
export async function openSounds(
  name: string,
  paths: readonly string[],
  { sampleRate, samples, mel }: SoundOptions = {},
): Promise<ArraySource> {
  if (mel) melFilters(mel);
  const first = await readWav(paths[0] as string);
  const rate = mel?.sampleRate ?? sampleRate ?? first.sampleRate;
  const restated = mel !== undefined || sampleRate !== undefined;
  const at = (sound: typeof first, path: string): Float32Array => {
    if (samples === undefined && (sound.samples.length * rate) / sound.sampleRate > maxSamples)
      throw invalid(`${path} has more than ${maxSamples} samples at ${rate} a second`);
    return resample(sound.samples, sound.sampleRate, rate, samples);
  };
  const length = samples ?? at(first, paths[0] as string).length;
  const frames = mel ? frameCount(length, mel) : 0;
  if (mel && frames === 0)
    throw invalid(`${name}: ${length} samples hold no frame of ${mel.window}`, {
      hint: 'State more samples, or a shorter window.',
    });
  const dims = mel ? [1, 1, mel.bands, frames] : [1, 1, 1, length];
  return filesAsExamples(name, paths, dims, async (path) => {
    const sound = await readWav(path);
    if (!restated && sound.sampleRate !== rate)
      throw invalid(`${path} has ${sound.sampleRate} samples a second, but ${paths[0]} has ${rate}`, {
        hint: 'State the sample rate that all recordings are brought to.',
      });
    const own = at(sound, path);
    if (samples === undefined && own.length !== length)
      throw invalid(`${path} has ${own.length} samples, but ${paths[0]} has ${length}`, {
        hint: 'State the number of samples that all recordings are cut or filled to.',
      });
    const values = new Float32Array(length);
    values.set(own.subarray(0, length));
    return mel ? melFeatures(values, mel) : values;
  });
}
