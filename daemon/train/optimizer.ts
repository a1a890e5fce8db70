import { floatTensor, type Graph } from '../network/graph.js';
import { GraphBuilder } from '../network/graph-builder.js';
import { reduceSum } from './differentiation/gradients/rule.js';

export type OptimizerSpec =
  | { readonly kind: 'sgd'; readonly momentum: number; readonly decay: number; readonly maxNorm: number }
  | {
      readonly kind: 'adamw';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly decay: number;
      readonly maxNorm: number;
    };

/**
 * One step over the flat vector of all weights, as a graph. Inputs: `gradient` [n], `rate` [], `weights` [n] and the
 * state vectors [n] by name; outputs: each of them as `<name>.next`. AdamW also takes `correction1` and `correction2`.
 */
export interface OptimizerGraph {
  readonly graph: Graph;
  /** Names of the state vectors, all zero at the start. */
  readonly state: readonly string[];
  /** Further scalars at step t, counted from 1. */
  scalars(t: number): Readonly<Record<string, number>>;
}

/** `decayed` is 1 where weight decay acts, 0 elsewhere. */
export function optimizerGraph(spec: OptimizerSpec, decayed: Float32Array): OptimizerGraph {
  const length = decayed.length;
  const b = new GraphBuilder({ name: `optimizer.${spec.kind}` });
  const vector = (name: string): string => b.input(name, 'float32', [length]);
  const sub = (x: string, y: string): string => b.node('Sub', [x, y]);
  const scaled = (x: string, factor: number): string => b.mul(x, b.scalar(factor));
  const rate = b.input('rate', 'float32', []);
  const weights = vector('weights');
  const gradient = clipped(b, vector('gradient'), spec.maxNorm);
  const decay = b.mul(b.constant('decayed', floatTensor([length], decayed)), scaled(weights, spec.decay));

  if (spec.kind === 'sgd') {
    // Nesterov's momentum as in Sutskever et al. (2013), weight decay in the gradient.
    const slope = b.add(gradient, decay);
    const velocity = b.add(scaled(vector('velocity'), spec.momentum), slope);
    b.output(velocity, 'velocity.next');
    b.output(sub(weights, b.mul(rate, b.add(slope, scaled(velocity, spec.momentum)))), 'weights.next');
    return { graph: b.build(), state: ['velocity'], scalars: () => ({}) };
  }
  // AdamW: Kingma and Ba (2015), algorithm 1; Loshchilov and Hutter (2019), algorithm 2.
  const { beta1, beta2 } = spec;
  const first = b.add(scaled(vector('first'), beta1), scaled(gradient, 1 - beta1));
  const second = b.add(scaled(vector('second'), beta2), scaled(b.mul(gradient, gradient), 1 - beta2));
  b.output(first, 'first.next');
  b.output(second, 'second.next');
  const [correction1, correction2] = [
    b.input('correction1', 'float32', []),
    b.input('correction2', 'float32', []),
  ];
  const deviation = b.add(b.node('Sqrt', [b.mul(second, correction2)]), b.scalar(spec.epsilon));
  const step = b.add(b.node('Div', [b.mul(first, correction1), deviation]), decay);
  b.output(sub(weights, b.mul(rate, step)), 'weights.next');
  return {
    graph: b.build(),
    state: ['first', 'second'],
    scalars: (t) => ({ correction1: 1 / (1 - beta1 ** t), correction2: 1 / (1 - beta2 ** t) }),
  };
}

/** Scales the gradient down to the norm `maxNorm` where it is longer (Pascanu et al. 2013). */
function clipped(b: GraphBuilder, gradient: string, maxNorm: number): string {
  const norm = b.node('Sqrt', [reduceSum(b, b.mul(gradient, gradient), [0])]);
  const factor = b.node('Div', [b.scalar(maxNorm), b.node('Max', [norm, b.scalar(maxNorm)])]);
  return b.mul(gradient, factor);
}

/** Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017). `step` counts from 0. */
export function rateAt(
  step: number,
  {
    rate,
    warmUpSteps,
    totalSteps,
  }: { readonly rate: number; readonly warmUpSteps: number; readonly totalSteps: number },
): number {
  if (step < warmUpSteps) return (rate * (step + 1)) / warmUpSteps;
  return (
    (rate / 2) * (1 + Math.cos((Math.PI * (step - warmUpSteps)) / Math.max(1, totalSteps - warmUpSteps)))
  );
}
