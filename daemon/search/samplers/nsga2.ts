import type { Architecture } from '../../core/architecture.js';
import { selectionOrder } from '../pareto/dominance.js';
import type { AskContext, Proposal, Sampler, Trial } from './contract.js';
import { breed } from './offspring.js';
import { randomProposals } from './random.js';
import { rateTrial } from './rating.js';
import { Unseen } from './unseen.js';

export interface Nsga2Options {
  /** Upper bound; a study that asks for few at a time gets a smaller population, at least 8. */
  readonly population: number;
  readonly crossoverProbability: number;
}

const breedingTries = 20;

/**
 * NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002): the best N of all told trials by constrained nondominated rank
 * and crowding are the parents. Survivors are chosen from the whole history rather than from two generations, which
 * lets results arrive in any order and leaves no state to keep.
 */
export class Nsga2Sampler implements Sampler {
  readonly name = 'nsga2';
  readonly needs = [];
  readonly #options: Nsga2Options;

  constructor(options: Nsga2Options) {
    this.#options = options;
  }

  ask(n: number, context: AskContext): Proposal[] {
    const { history, pending, space, rng, objectives, constraints } = context;
    const size = Math.min(this.#options.population, Math.max(8, 5 * n));
    const unseen = new Unseen(context);
    const missing = Math.max(0, size - history.length - pending.length);
    const proposals = randomProposals(Math.min(n, history.length === 0 ? n : missing), unseen);
    if (history.length === 0) return proposals;

    const order = selectionOrder(history.map((trial) => rateTrial(trial, objectives, constraints)));
    const parents = order.slice(0, size).map((i): Architecture => (history[i] as Trial).architecture);
    let tries = 0;
    while (proposals.length < n && tries < breedingTries * n && !unseen.exhausted) {
      const architecture = breed(space, parents, rng, this.#options.crossoverProbability);
      if (unseen.take(architecture)) proposals.push({ architecture, note: 'offspring' });
      else tries++;
    }
    return [...proposals, ...randomProposals(n - proposals.length, unseen)];
  }

  tell(): void {}
  state(): null {
    return null;
  }
  restore(): void {}
}
