import type { Measurement } from '../core/measurement.js';
import type { Graph } from '../network/graph.js';

/**
 * Says in a measurement's target that the device ran a network which was converted from the user's file: its own runtime may
 * take another time for that file. A runner that took the file itself says so in its manifest.
 */
export function asConverted(measurement: Measurement, { convertedFrom }: Graph): Measurement {
  if (convertedFrom === undefined || measurement.manifest.ranFileAsGiven === true) return measurement;
  return { ...measurement, target: { ...measurement.target, network: `converted from ${convertedFrom}` } };
}
