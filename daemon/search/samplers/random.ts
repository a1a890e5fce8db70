import type { AskContext, Proposal, Sampler } from './contract.js';
import { Unseen } from './unseen.js';

/** Uniform draws without repetition: the baseline every search has to beat (Li and Talwalkar 2019). */
export class RandomSampler implements Sampler {
  readonly name = 'random';
  readonly needs = [];

  ask(n: number, context: AskContext): Proposal[] {
    return randomProposals(n, new Unseen(context));
  }

  // Everything it knows stands in the context.
  tell(): void {}
  state(): null {
    return null;
  }
  restore(): void {}
}

/** Up to n random proposals; fewer when the space runs out. */
export function randomProposals(n: number, unseen: Unseen): Proposal[] {
  const proposals: Proposal[] = [];
  while (proposals.length < n) {
    const architecture = unseen.takeRandom();
    if (architecture === undefined) break;
    proposals.push({ architecture, note: 'random' });
  }
  return proposals;
}
