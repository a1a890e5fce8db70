/** Zero crossings of the kernel on each side, and its cut-off as a share of the lower rate's Nyquist frequency. */
const crossings = 16;
const rolloff = 0.95;

/**
 * Samples at another rate by band-limited interpolation (Smith and Gossett 1984): a sinc of 16 zero crossings a side under
 * a Hann window, cut off at 0.95 of the lower Nyquist frequency. Outside the recording it takes silence. At most the first
 * `most` samples are made.
 */
export function resample(
  samples: Float32Array,
  from: number,
  to: number,
  most: number = Number.POSITIVE_INFINITY,
): Float32Array {
  if (from === to) return samples.subarray(0, Math.min(samples.length, most));
  const result = new Float32Array(Math.min(most, Math.max(1, Math.round((samples.length * to) / from))));
  const cutoff = rolloff * Math.min(1, to / from);
  const reach = crossings / cutoff;
  for (let i = 0; i < result.length; i++) {
    const centre = (i * from) / to;
    const first = Math.max(0, Math.ceil(centre - reach));
    const last = Math.min(samples.length - 1, Math.floor(centre + reach));
    let sum = 0;
    for (let n = first; n <= last; n++) {
      const x = n - centre;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / reach);
      const angle = Math.PI * cutoff * x;
      sum += (samples[n] as number) * cutoff * window * (angle === 0 ? 1 : Math.sin(angle) / angle);
    }
    result[i] = sum;
  }
  return result;
}
