import { z } from 'zod';

/**
 * Raw median latency of the two reference networks on one device, taken once: the unit in which normalised latencies
 * of that device are given. The caller keeps it and hands it back at the next opening, so that they stay comparable.
 */
export const calibrationSchema = z.strictObject({
  convolutionUs: z.number().positive(),
  transformerUs: z.number().positive(),
  takenAtMs: z.number().nonnegative(),
});

export type Calibration = z.infer<typeof calibrationSchema>;

export type ReferenceName = 'convolution' | 'transformer';

export const calibratedUs = (calibration: Calibration, reference: ReferenceName): number =>
  reference === 'convolution' ? calibration.convolutionUs : calibration.transformerUs;
