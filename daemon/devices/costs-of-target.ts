import { type CostMetric, costMetrics } from '../core/measurement.js';
import type { Target } from '../core/target.js';

const timed: readonly CostMetric[] = ['latencyUs', 'peakBytes'];
/** What our firmware says beside how fast it is. */
const sizes: readonly CostMetric[] = ['peakBytes', 'peakRamBytes', 'flashBytes'];

/** By runtime, what the kinds of devices that hilda brings along can measure. */
const known = new Map<string, (tier: string) => readonly CostMetric[]>([
  ['onnxruntime', () => timed],
  ['onnxruntime-web', () => timed],
  ['tflite', () => timed],
  ['fake', () => timed],
  ['virtual', () => timed],
  ['mlperf-tiny', () => ['latencyUs']],
  ['hilda-firmware', (tier) => [...speedsOf(tier), ...sizes]],
]);

/** Emulated boards have no time: QEMU counts instructions, rp2040js models cycles. */
function speedsOf(tier: string): readonly CostMetric[] {
  if (tier === 'qemu') return ['instructions'];
  return tier === 'rp2040js' ? ['cycles'] : ['latencyUs', 'cycles'];
}

/** The costs that measurements of a target may hold; all of them where the runtime is not one of ours. */
export function costsOfTarget({ runtime, tier }: Target): readonly CostMetric[] {
  // Says that it is emulated itself, e.g. firmware over a port: it counts one of the two.
  if (tier === 'emulated') return ['cycles', 'instructions', ...sizes];
  return known.get(runtime)?.(tier) ?? costMetrics;
}
