import { HildaError } from '../../core/errors.js';
import type { Node } from '../../network/graph.js';
import type { GraphBuilder } from '../../network/graph-builder.js';
import { convolutionRules } from './gradients/convolution.js';
import { elementwiseRules } from './gradients/elementwise.js';
import { layoutRules } from './gradients/layout.js';
import { normalisationRules } from './gradients/normalisation.js';
import { poolingRules } from './gradients/pooling.js';
import { productRules } from './gradients/products.js';
import type { Saved, TrainingRule } from './gradients/rule.js';

const rules: Readonly<Record<string, TrainingRule>> = {
  ...elementwiseRules,
  ...layoutRules,
  ...productRules,
  ...convolutionRules,
  ...normalisationRules,
  ...poolingRules,
};

/** The operators that can be trained through. */
export const trainableOperators: readonly string[] = Object.keys(rules).sort();

interface Step {
  readonly node: Node;
  readonly outputs: readonly string[];
  readonly saved: Saved;
}

/**
 * Reverse-mode differentiation (Linnainmaa 1970) that computes nothing itself: `apply` adds a node's training form to
 * a graph under construction and remembers it; `backward` walks back and adds the operators of the gradients.
 */
export class Tape {
  readonly #b: GraphBuilder;
  readonly #steps: Step[] = [];
  /** Values that depend on something a gradient is wanted for. */
  readonly #live = new Set<string>();

  constructor(b: GraphBuilder) {
    this.#b = b;
  }

  /** Declares a value whose gradient `backward` shall give. Before any node that uses it. */
  watch(value: string): void {
    this.#live.add(value);
  }

  /** Adds a node whose inputs name values of the graph; gives its outputs. Throws OPERATOR_UNSUPPORTED. */
  apply(node: Node): readonly string[] {
    const b = this.#b;
    const live = node.inputs.some((input) => this.#live.has(input));
    const rule = Object.hasOwn(rules, node.op) ? rules[node.op] : undefined;
    if (!rule && live) {
      throw new HildaError('OPERATOR_UNSUPPORTED', `node ${node.name}: there is no gradient of ${node.op}`, {
        hint: `Operators that can be trained: ${trainableOperators.join(', ')}.`,
        details: { operator: node.op, node: node.name },
      });
    }
    if (live) rule?.check?.({ b, node });
    const { outputs, saved = {} } = rule?.forward?.({ b, node }) ?? {
      outputs: b.nodeMulti(node.op, node.inputs, node.attributes, {
        outputs: node.outputs.length,
        domain: node.domain,
      }),
    };
    if (live) {
      for (const output of outputs) this.#live.add(output);
      this.#steps.push({ node, outputs, saved });
    }
    return outputs;
  }

  /** Gradients of the watched values, given that of one output. Values without influence are absent. */
  backward(output: string, gradient: string): ReadonlyMap<string, string> {
    const gradients = new Map([[output, gradient]]);
    for (const { node, outputs, saved } of [...this.#steps].reverse()) {
      const upstream = outputs.map((name) => gradients.get(name));
      if (upstream.every((value) => value === undefined)) continue;
      const wants = (i: number): boolean => this.#live.has(node.inputs[i] as string);
      const rule = rules[node.op] as TrainingRule;
      rule.gradient({ b: this.#b, node, outputs, saved, upstream, wants }).forEach((value, i) => {
        if (value === undefined || !wants(i)) return;
        const name = node.inputs[i] as string;
        const known = gradients.get(name);
        gradients.set(name, known === undefined ? value : this.#b.add(known, value));
      });
    }
    return gradients;
  }
}
