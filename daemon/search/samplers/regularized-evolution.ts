import { pick, randomInt } from '../../core/rng.js';
import { selectionOrder } from '../pareto/dominance.js';
import type { AskContext, Proposal, Sampler, Trial } from './contract.js';
import { randomProposals } from './random.js';
import { rateTrial } from './rating.js';
import { Unseen } from './unseen.js';

export interface RegularizedEvolutionOptions {
  /** P in the paper: the youngest told trials form the population. */
  readonly population: number;
  /** S in the paper: how many random members compete to become the parent. */
  readonly tournament: number;
  /**
   * `seeds`: the space's known good architectures and their mutations come first, as einspace's evolution starts from
   * copies of a seed network (Ericsson et al. 2024, section 4).
   */
  readonly start?: 'random' | 'seeds';
}

const mutationTries = 20;

/**
 * Regularized (aging) evolution (Real et al. 2019, algorithm 1): the best of a random tournament is mutated and the
 * oldest member dies, at any fitness. With several objectives "best" is the order of constrained nondominated
 * rank, then crowding. The population is read off the history (its last P trials), so there is no state to keep.
 */
export class RegularizedEvolutionSampler implements Sampler {
  readonly name = 'regularized-evolution';
  readonly needs = [];
  readonly #options: RegularizedEvolutionOptions;

  constructor(options: RegularizedEvolutionOptions) {
    this.#options = options;
  }

  ask(n: number, context: AskContext): Proposal[] {
    const { history, pending, space, rng, objectives, constraints } = context;
    const { population: size, tournament } = this.#options;
    const unseen = new Unseen(context);
    const missing = Math.max(0, size - history.length - pending.length);
    const first = Math.min(n, history.length === 0 ? n : missing);
    const proposals = [...(this.#options.start === 'seeds' ? seedProposals(first, context, unseen) : [])];
    proposals.push(...randomProposals(first - proposals.length, unseen));
    const population = history.slice(-size);
    if (population.length === 0) return proposals;
    const order = selectionOrder(population.map((trial) => rateTrial(trial, objectives, constraints)));

    while (proposals.length < n && !unseen.exhausted) {
      const proposal = mutateWinner();
      if (proposal === undefined) return [...proposals, ...randomProposals(n - proposals.length, unseen)];
      proposals.push(proposal);
    }
    return proposals;

    function mutateWinner(): Proposal | undefined {
      for (let tries = 0; tries < mutationTries; tries++) {
        let place = population.length;
        for (let i = 0; i < tournament; i++) place = Math.min(place, randomInt(rng, population.length));
        const parent = population[order[place] as number] as Trial;
        const architecture = space.mutate(parent.architecture, rng);
        if (unseen.take(architecture)) return { architecture, note: `mutation of ${parent.number}` };
      }
      return undefined;
    }
  }

  tell(): void {}
  state(): null {
    return null;
  }
  restore(): void {}
}

/** The seeds themselves, then mutations of them in turn. */
function seedProposals(n: number, { space, rng }: AskContext, unseen: Unseen): Proposal[] {
  const seeds = space.seeds?.() ?? [];
  const proposals: Proposal[] = [];
  for (const architecture of seeds) {
    if (proposals.length < n && unseen.take(architecture)) proposals.push({ architecture, note: 'seed' });
  }
  for (let tries = 0; seeds.length > 0 && proposals.length < n && tries < mutationTries * n; tries++) {
    const architecture = space.mutate(pick(rng, seeds), rng);
    if (unseen.take(architecture)) proposals.push({ architecture, note: 'mutation of a seed' });
  }
  return proposals;
}
