import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { HildaError } from '../../core/errors.js';
import { type Rng, randomInt } from '../../core/rng.js';
import type { DecisionTree, Space } from '../spaces/contract.js';
import { largest } from './boshnas.js';
import type { AskContext } from './contract.js';
import { sampleDenoised } from './diffusionnag.js';
import { BayesianLinear, normalScores } from './learning/bayesian-linear.js';
import { vocabularyOf } from './learning/vocabulary.js';
import { count, definePlugin, indicesOf, memoryless, positive, proposeUnseen, share } from './plugin.js';
import { guides } from './posterior-samples.js';
import { rewards } from './rank.js';

/** A space's own tree, or its dimensions in order. Throws SPEC_INVALID where it has neither. */
function decisionTreeOf(space: Space): DecisionTree {
  if (space.tree) return space.tree;
  const { dims } = space;
  if (!dims)
    throw new HildaError(
      'SPEC_INVALID',
      `the space ${space.id} has neither dimensions nor a tree of decisions`,
    );
  return {
    choices: (taken) => dims[taken.length]?.choices.length ?? 0,
    architecture: (taken) => space.normalise(taken),
    decisions: (architecture) => indicesOf(architecture),
  };
}

interface TreeNode {
  visits: number;
  total: number;
  readonly children: Map<number, TreeNode>;
}

const newNode = (): TreeNode => ({ visits: 0, total: 0, children: new Map() });

/**
 * Monte Carlo tree search over a space's decisions (Negrinho and Gordon 2017, section 5.2): UCT picks children by mean
 * + c sqrt(2 ln N / n), every trial adds one node, below it decisions are random, and rewards are backed up along the
 * nodes of the tree alone. The tree is grown anew from the history at every ask, so there is no state to keep. Rewards
 * enter as shares of rank. Measured: it does not beat random at 200 trials on NAS-Bench-201.
 */
export const mcts = definePlugin({
  name: 'mcts',
  options: z.strictObject({ exploration: positive(0.33), initial: count(1) }),
  create: ({ exploration, initial }) =>
    memoryless('mcts', [], (n, context) => {
      const { space, rng } = context;
      const tree = decisionTreeOf(space);
      const root = growTree(context, tree);
      return proposeUnseen(
        n,
        context,
        () => {
          const taken: number[] = [];
          const path = [root];
          let node: TreeNode | undefined = root;
          for (let width = tree.choices(taken); width > 0; width = tree.choices(taken)) {
            const choice = node ? uct(node, width, exploration, rng) : randomInt(rng, width);
            taken.push(choice);
            node = node?.children.get(choice);
            if (node) path.push(node);
          }
          // Under way counts as a visit without reward: a batch spreads over branches.
          for (const visited of path) visited.visits++;
          try {
            return { architecture: tree.architecture(taken), note: `tree depth ${path.length - 1}` };
          } catch {
            return undefined; // Decisions that compose no member of the space.
          }
        },
        { initial, tries: 50 * n },
      );
    }),
});

function growTree(context: AskContext, tree: DecisionTree): TreeNode {
  const { history } = context;
  const scores = normalScores(rewards(context, history, 0.05));
  const root = newNode();
  history.forEach(({ architecture }, i) => {
    const share = 1 / (1 + Math.exp(-1.7 * (scores[i] as number)));
    let node = root;
    node.visits++;
    node.total += share;
    for (const choice of tree.decisions(architecture)) {
      const known = node.children.get(choice);
      const child = known ?? newNode();
      node.children.set(choice, child);
      child.visits++;
      child.total += share;
      if (!known) break;
      node = child;
    }
  });
  return root;
}

function uct(node: TreeNode, width: number, exploration: number, rng: Rng): number {
  const fresh = Array.from({ length: width }, (_, i) => i).filter((i) => !node.children.has(i));
  if (fresh.length > 0) return fresh[randomInt(rng, fresh.length)] as number;
  return largest([...node.children], ([, { visits, total }]) => {
    return total / visits + exploration * Math.sqrt((2 * Math.log(node.visits)) / visits);
  })[0];
}

/** Of DiffusionNAG's samples, for a batch of up to half as many proposals. */
const leastGuided = 20;

/**
 * Sequential model-based optimisation over hashed features (Negrinho and Gordon 2017, section 5.3): with probability
 * epsilon a random candidate, else the next best of a pool by a regularised linear model on the strings of modules,
 * connections and hyper-parameters. The pool: `samples` random candidates, or with `pool: diffusion` DiffusionNAG's guided
 * samples once `initial` trials are told (An et al. 2024).
 */
export const smbo = definePlugin({
  name: 'smbo',
  options: z.strictObject({
    initial: count(20),
    samples: count(2000),
    epsilon: share(0.1),
    pool: z.enum(['random', 'diffusion']).default('random'),
  }),
  create: ({ initial, samples, epsilon, pool }) =>
    memoryless('smbo', pool === 'diffusion' ? ['dims'] : [], (n, context) => {
      const { space, rng, history } = context;
      const predict = history.length >= 5 ? linearPredictor(context) : () => 0;
      const candidates =
        pool === 'diffusion' && history.length >= initial
          ? guidedSamples(context, Math.max(leastGuided, 2 * n))
          : Array.from({ length: samples }, () => space.sample(rng));
      const ranked = candidates
        .map((architecture) => ({ architecture, value: predict(architecture) }))
        .sort((a, b) => b.value - a.value);
      let at = 0;
      return proposeUnseen(
        n,
        context,
        () => {
          const next = ranked[at];
          if (!next || rng.next() < epsilon) return { architecture: space.sample(rng), note: 'random' };
          at++;
          return { architecture: next.architecture, note: 'surrogate' };
        },
        { initial },
      );
    }),
});

function guidedSamples(context: AskContext, size: number): Architecture[] {
  const nextGuide = guides(context);
  return Array.from({ length: size }, () => sampleDenoised(context, 1, nextGuide())).flat();
}

/** Normal score of the reward that the history suggests, by Bayesian linear regression on decisions. */
function linearPredictor(context: AskContext): (architecture: Architecture) => number {
  const vocabulary = vocabularyOf(context.space);
  const rows = context.history.map(({ architecture }) => vocabulary.row(architecture));
  const y = normalScores(rewards(context, context.history, 0.05));
  const { weights } = BayesianLinear.fit(rows, y, vocabulary.size);
  return (architecture) => BayesianLinear.dot(weights, vocabulary.row(architecture));
}
