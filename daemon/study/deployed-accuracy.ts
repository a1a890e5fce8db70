import type { DeviceId } from '../core/ids.js';
import { pooledWith } from '../fleet/equivalence.js';
import type { TrialRecord } from '../store/contract.js';
import { deviceMetric, floatAccuracy } from './spec.js';
import type { TrialContext } from './trial-runner.js';

/**
 * Accuracy as each device runs the network, where that is not the float network: on the first device it takes the bare
 * name, and the float network's becomes `floatAccuracy`.
 */
export async function addDeployedAccuracy(
  values: Record<string, number>,
  trial: TrialRecord,
  asItIs: ReadonlySet<number>,
  { spec, pool, store, evaluator, onStep }: TrialContext,
  signal: AbortSignal,
): Promise<void> {
  const { accuracy: float } = values;
  if (!evaluator.deployed || float === undefined) return;
  for (const [index, name] of spec.devices.entries()) {
    const metric = deviceMetric('accuracy', spec, index);
    let own: number | undefined;
    if (!asItIs.has(index)) {
      onStep?.(`evaluate as ${name} runs it`);
      own = await pool.withAny(
        await pooledWith(name as DeviceId, store),
        { holder: `study:${trial.studyId}`, signal },
        async (device) => {
          const classify = device.classify?.bind(device);
          if (!classify) return undefined;
          const quality = await evaluator.deployed?.(
            trial.architecture,
            (network, examples) => classify(network, examples, { signal }),
            { signal },
          );
          return quality?.values.accuracy;
        },
      );
    }
    if (own === undefined) {
      const isAsked = [...spec.objectives, ...spec.constraints].some((asked) => asked.metric === metric);
      if (index > 0 && isAsked) values[metric] = float;
      continue;
    }
    if (index === 0) values[floatAccuracy] = float;
    values[metric] = own;
  }
}
