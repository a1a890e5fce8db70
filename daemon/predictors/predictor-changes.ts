import type { Predictions } from '../predict/contract.js';
import type { PredictorBody, PredictorSample } from './predictor-body.js';

/** How many live residuals are kept. */
const keptLive = 200;

/** Samples of networks, beside what was said of each before it was measured, in the same order. */
export function withLive(
  body: PredictorBody,
  samples: readonly PredictorSample[],
  said: Predictions,
  atMs: number,
): PredictorBody {
  const live = samples.map((sample, i) => ({
    architecture: sample.architecture,
    predicted: said.mean[i] as number,
    low: said.low[i] as number,
    high: said.high[i] as number,
    measured: sample.value,
    atMs,
  }));
  return { ...body, live: [...body.live, ...live].slice(-keptLive) };
}

/**
 * Its live measurements become samples to learn from, and the list of residuals starts anew. `shift`: how many times as much
 * everything costs by now, 1 where nothing drifted. Old networks keep their order among each other: moved by the common
 * shift, they still tell shapes apart.
 */
export function learntFromLive(body: PredictorBody, shift: number): PredictorBody {
  const live = body.live.map(
    ({ architecture, measured }): PredictorSample => ({
      architecture,
      structureHash: '',
      measurementId: '',
      value: measured,
      parts: [],
      blocks: [],
    }),
  );
  const samples = body.samples.map((sample) =>
    shift === 1 ? sample : { ...sample, value: sample.value * shift },
  );
  return { ...body, samples: [...samples, ...live], live: [] };
}
