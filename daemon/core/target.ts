import { canonicalJson } from './json.js';

/**
 * What a cost belongs to. Costs may be compared, pooled or learnt only within one target: the same board runs the
 * same network up to four times slower under another runtime.
 */
export interface Target {
  /** The device's model, e.g. the CPU's model name. Never the name of one particular board. */
  readonly model: string;
  /** Nominal clock, or null where the machine does not say. */
  readonly clockHz: number | null;
  readonly runtime: string;
  readonly runtimeVersion: string;
  /** Execution provider: `cpu`, `webgpu`, `cuda`; `firmware` on a microcontroller. */
  readonly provider: string;
  readonly threads: number;
  readonly dtype: 'float32' | 'float16' | 'int8';
  /** Inferences at a time, where that is not one; the network's own leading dimension agrees with it. */
  readonly batch?: number;
  /** What ran in place of the user's own file, e.g. `converted from TensorFlow Lite`; of measurements alone. */
  readonly network?: string;
  /** What else sets the level of trust or speed, e.g. a browser's secure tier; `host` for this machine. */
  readonly tier: string;
}

/** The canonical text of a target; equal texts mean comparable costs. */
export const targetKey = (target: Target): string => canonicalJson({ ...target });

/**
 * What is chosen of a target. Measurements of one series agree in these; versions and clock may differ, since their changes are
 * what a series is watched for.
 */
export const chosenFields = [
  'model',
  'runtime',
  'provider',
  'threads',
  'dtype',
  'batch',
  'network',
  'tier',
] as const satisfies readonly (keyof Target)[];

/** How figures of a target were obtained, in one word: those of a virtual device, which no hardware and no program made, say so. */
export const obtainedWord = (provenance: string, { tier }: Pick<Target, 'tier'>): string =>
  tier === 'virtual' ? 'virtual' : provenance;

/** The fields in which two targets differ, for messages. */
export function targetDifference(a: Target, b: Target): (keyof Target)[] {
  return (Object.keys(a) as (keyof Target)[]).filter((key) => a[key] !== b[key]);
}
