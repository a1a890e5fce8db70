import type { Evaluator } from '../evaluate/contract.js';
import type { TrialRecord } from '../store/contract.js';
import { type CrewOptions, type Lane, Lanes } from './crew.js';
import type { TrialContext } from './trial-context.js';
import { runTrial } from './trial-runner.js';
import { devicesOf, workersOf } from './work-through.js';

/**
 * Runs a trial and stores what became of it; answers whether it is held. A slow evaluator works beside the devices: a trial
 * gives its lane back before somebody trains its network for hours.
 */
export async function trialWork(
  context: TrialContext,
  onFinished?: (trial: TrialRecord) => Promise<void>,
): Promise<CrewOptions['work']> {
  const beside = await besideDevices(context);
  return async (trial, signal, lane) => {
    const finished = await runTrial(trial, { ...context, evaluator: beside(lane) }, { signal });
    if (!finished) return true;
    const record = await context.store.finishTrial(finished);
    await onFinished?.(record);
    return false;
  };
}

/**
 * The study's evaluator, which leaves a trial's lane first where no device is disturbed by what it does. As many
 * programs of this host run at a time as trials did before; those outside are not counted.
 */
async function besideDevices({ spec, store, evaluator }: TrialContext): Promise<(lane: Lane) => Evaluator> {
  // One that shows images to the devices as well needs them at once.
  if (evaluator.cost !== 'train' || evaluator.deployed) return () => evaluator;
  const hosts = (await devicesOf(spec, store)).map(({ host }) => host);
  const isHere = evaluator.isOutside !== true;
  if (isHere && hosts.some((host) => host !== null)) return () => evaluator;
  const programs = isHere ? new Lanes(workersOf(hosts)) : undefined;
  return (lane) => ({
    metrics: evaluator.metrics,
    cost: evaluator.cost,
    evaluate: async (architecture, options) => {
      lane.leave();
      const turn = await programs?.enter();
      try {
        options.signal.throwIfAborted();
        return await evaluator.evaluate(architecture, options);
      } finally {
        turn?.leave();
      }
    },
    close: () => evaluator.close(),
  });
}
