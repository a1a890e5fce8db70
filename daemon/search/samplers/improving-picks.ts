import { selectionOrder } from '../pareto/dominance.js';
import { hypervolumeGain } from '../pareto/hypervolume.js';
import { ParetoFront } from '../pareto/pareto-front.js';
import type { AskContext } from './contract.js';
import type { Candidate } from './predicted-candidates.js';
import { rateTrial } from './rating.js';

/** In shares of the way to the better end of the 90 % interval, one a pick, in turn. */
const optimismSteps = [0, 0.25, 0.5, 1];

/**
 * Greedily the candidates that would add most hypervolume to the measured front and to those already chosen. Each pick
 * takes the predictions at another degree of optimism, from the mean to the interval's better end: a batch of means alone keeps
 * returning to where the predictors are already right. Above three objectives plain rank order stands in.
 */
export function improvingPicks(
  candidates: readonly Candidate[],
  n: number,
  context: AskContext,
): Candidate[] {
  const { history, objectives, constraints } = context;
  const feasible = candidates.filter(({ violation }) => violation === 0);
  const measured = history
    .map((trial) => rateTrial(trial, objectives, constraints))
    .filter(({ violation }) => violation === 0)
    .map(({ costs }) => costs);
  if (feasible.length === 0 || measured.length === 0 || objectives.length > 3) {
    return selectionOrder(candidates)
      .slice(0, n)
      .map((i) => candidates[i] as Candidate);
  }
  const reference = objectives.map((_, o) => {
    const column = measured.map((costs) => costs[o] as number);
    return Math.max(...column) + 0.05 * (Math.max(...column) - Math.min(...column)) + 1e-9;
  });
  const front = new ParetoFront<undefined>();
  for (const costs of measured) front.add(costs, undefined);
  const chosen = new Set<Candidate>();
  for (let pickNumber = 0; pickNumber < Math.min(n, feasible.length); pickNumber++) {
    const optimism = optimismSteps[pickNumber % optimismSteps.length] as number;
    const hopeful = ({ costs, hopes }: Candidate): number[] =>
      costs.map((cost, o) => cost - optimism * (hopes[o] as number));
    const points = front.members.map(({ point }) => point);
    const gainOf = hypervolumeGain(points, reference);
    let best: { candidate: Candidate; gain: number } | undefined;
    for (const candidate of feasible) {
      if (chosen.has(candidate)) continue;
      const gain = gainOf(hopeful(candidate));
      if (gain > (best?.gain ?? 0)) best = { candidate, gain };
    }
    if (!best) continue;
    chosen.add(best.candidate);
    front.add(hopeful(best.candidate), undefined);
  }
  return [...chosen];
}
