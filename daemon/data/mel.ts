import { invalid } from './invalid.js';

/** A log-mel front end. Frames are not padded: there are 1 + floor((samples - window) / hop) of them. */
export interface MelOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples of a frame, under a periodic Hann window. */
  readonly window: number;
  readonly hop: number;
  /** Length of the Fourier transform, a power of two; frames are filled up with zeros. */
  readonly fft: number;
  readonly bands: number;
  readonly lowHz: number;
  readonly highHz: number;
  /**
   * `htk`: 2595 log10(1 + f / 700), triangles of height 1. `slaney`: linear below 1 kHz, logarithmic above (Slaney 1998),
   * triangles of area 1.
   */
  readonly scale: 'htk' | 'slaney';
  /**
   * What of a bin is weighed: `power`, its squared magnitude; `absolute`, |real| + |imaginary|, whose range is the root of
   * that and suits 8 bits.
   */
  readonly spectrum: 'power' | 'absolute';
  /** Added to the energy of a band before its natural logarithm. */
  readonly floor: number;
}

export const frameCount = (samples: number, { window, hop }: MelOptions): number =>
  samples < window ? 0 : 1 + Math.floor((samples - window) / hop);

const slaneyBreakHz = 1000;
const slaneyStepHz = 200 / 3;
const slaneyLogStep = Math.log(6.4) / 27;

function toMel(hz: number, scale: MelOptions['scale']): number {
  if (scale === 'htk') return 2595 * Math.log10(1 + hz / 700);
  return hz < slaneyBreakHz
    ? hz / slaneyStepHz
    : slaneyBreakHz / slaneyStepHz + Math.log(hz / slaneyBreakHz) / slaneyLogStep;
}

function toHz(mel: number, scale: MelOptions['scale']): number {
  if (scale === 'htk') return 700 * (10 ** (mel / 2595) - 1);
  const at = slaneyBreakHz / slaneyStepHz;
  return mel < at ? mel * slaneyStepHz : slaneyBreakHz * Math.exp((mel - at) * slaneyLogStep);
}

/** Weight of each bin of the spectrum in each band: bands x (fft / 2 + 1). Throws DATA_INVALID for a band without a bin. */
export function melFilters(options: MelOptions): Float64Array[] {
  const { sampleRate, fft, bands, lowHz, highHz, scale } = options;
  checkMel(options);
  const [low, high] = [toMel(lowHz, scale), toMel(highHz, scale)];
  const edges = Array.from({ length: bands + 2 }, (_, i) =>
    toHz(low + ((high - low) * i) / (bands + 1), scale),
  );
  return Array.from({ length: bands }, (_, b) => {
    const [left, centre, right] = edges.slice(b, b + 3) as [number, number, number];
    const height = scale === 'slaney' ? 2 / (right - left) : 1;
    const weights = Float64Array.from({ length: fft / 2 + 1 }, (_, k) => {
      const hz = (k * sampleRate) / fft;
      return height * Math.max(0, Math.min((hz - left) / (centre - left), (right - hz) / (right - centre)));
    });
    if (!weights.some((weight) => weight > 0))
      throw invalid(
        `mel front end: band ${b} (${left.toFixed(0)} to ${right.toFixed(0)} Hz) contains no bin`,
        {
          hint: 'Choose fewer bands or a longer fft.',
        },
      );
    return weights;
  });
}

export const hannWindow = (length: number): Float64Array =>
  Float64Array.from({ length }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length));

/** ln(floor + band energy) of every frame: bands x frames, row-major. Throws DATA_INVALID. */
export function melFeatures(samples: Float32Array, options: MelOptions): Float32Array {
  const filters = melFilters(options);
  const { window, hop, fft, bands, floor, spectrum } = options;
  const frames = frameCount(samples.length, options);
  const hann = hannWindow(window);
  const features = new Float32Array(bands * frames);
  const [real, imaginary] = [new Float64Array(fft), new Float64Array(fft)];
  for (let t = 0; t < frames; t++) {
    real.fill(0);
    imaginary.fill(0);
    for (let n = 0; n < window; n++) real[n] = (samples[t * hop + n] as number) * (hann[n] as number);
    transform(real, imaginary);
    const bins = Float64Array.from({ length: fft / 2 + 1 }, (_, k) => {
      const [re, im] = [real[k] as number, imaginary[k] as number];
      return spectrum === 'power' ? re * re + im * im : Math.abs(re) + Math.abs(im);
    });
    filters.forEach((weights, b) => {
      let energy = floor;
      for (let k = 0; k < weights.length; k++) energy += (weights[k] as number) * (bins[k] as number);
      features[b * frames + t] = Math.log(energy);
    });
  }
  return features;
}

/** Fast Fourier transform in place (Cooley and Tukey 1965); the length is a power of two. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    [real[i], real[j]] = [real[j] as number, real[i] as number];
    [imaginary[i], imaginary[j]] = [imaginary[j] as number, imaginary[i] as number];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const [c, s] = [Math.cos((-2 * Math.PI * k) / size), Math.sin((-2 * Math.PI * k) / size)];
      for (let at = k; at < n; at += size) {
        const other = at + size / 2;
        const [x, y] = [real[other] as number, imaginary[other] as number];
        const [re, im] = [c * x - s * y, c * y + s * x];
        real[other] = (real[at] as number) - re;
        imaginary[other] = (imaginary[at] as number) - im;
        real[at] = (real[at] as number) + re;
        imaginary[at] = (imaginary[at] as number) + im;
      }
    }
  }
}

/** Throws DATA_INVALID naming the parameter that does not fit the others. */
function checkMel({ sampleRate, window, hop, fft, bands, lowHz, highHz, floor }: MelOptions): void {
  const wrong =
    !Number.isInteger(Math.log2(fft)) || fft > 65_536
      ? 'fft: not a power of two up to 65,536'
      : window < 2 || window > fft
        ? 'window: not within 2 to fft'
        : hop < 1
          ? 'hop: below 1'
          : bands < 1 || bands > fft / 2
            ? 'bands: not within 1 to fft / 2'
            : !(lowHz >= 0 && lowHz < highHz && highHz <= sampleRate / 2)
              ? 'lowHz, highHz: not in order within 0 to half the sample rate'
              : !(floor > 0)
                ? 'floor: not above 0'
                : undefined;
  if (wrong) throw invalid(`mel front end: ${wrong}`);
}
