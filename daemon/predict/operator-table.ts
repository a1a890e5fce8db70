import { HildaError } from '../core/errors.js';
import type { Features } from './contract.js';
import { Design } from './design.js';
import { fitTable } from './models/table-fit.js';
import { conformalQuantile } from './statistics.js';

/** An operator as the device will run it. */
export interface TableOperator {
  /** Operators of one kernel, e.g. `conv`: their cost follows their quantities by one rule. */
  readonly kind: string;
  /** Equal keys cost the same. */
  readonly key: string;
  /** What the kernel's cost grows with. */
  readonly quantities: Features;
}

/** One network that was run, with what each operator of it cost. */
export interface CountedNetwork {
  readonly operators: readonly (TableOperator & { readonly cost: number })[];
  /** End to end, in the operators' unit. */
  readonly whole: number;
}

interface Rule {
  readonly design: Design;
  readonly constant: number;
  readonly weights: Float64Array;
}

interface Fitted {
  readonly exact: ReadonlyMap<string, number>;
  readonly rules: ReadonlyMap<string, Rule>;
}

const folds = 10;
const penalty = 1e-6;
const maxSweeps = 3000;

/**
 * A look-up table over the counts of single operators: what was counted is looked up, and a shape that never ran is told
 * by its kernel's rule, non-negative weights on calls, rows, outputs and products. Networks of any space share
 * one table, since they share kernels. The interval holds 90 % of held-out networks (10-fold, conformal).
 */
export class OperatorTable {
  readonly minimumSamples = 5;
  #fitted: Fitted | undefined;
  #relativeError = 0;

  /** Throws PREDICTOR_UNFIT for fewer than `minimumSamples` networks. */
  fit(networks: readonly CountedNetwork[]): void {
    if (networks.length < this.minimumSamples)
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `an operator table needs ${this.minimumSamples} networks, not ${networks.length}`,
      );
    const errors: number[] = [];
    for (let fold = 0; fold < Math.min(folds, networks.length); fold++) {
      const held = networks.filter((_, i) => i % folds === fold);
      const model = fitted(networks.filter((_, i) => i % folds !== fold));
      for (const { operators, whole } of held) {
        const told = sum(model, operators);
        if (told !== undefined) errors.push(Math.abs(whole - told) / told);
      }
    }
    const quantile = conformalQuantile(errors, 0.9);
    this.#relativeError = Number.isFinite(quantile) ? quantile : 2 * Math.max(0.01, ...errors);
    this.#fitted = fitted(networks);
  }

  /** Undefined where an operator is of a kind that never ran: no constant stands in for it. */
  predict(
    operators: readonly TableOperator[],
  ): { readonly mean: number; readonly low: number; readonly high: number } | undefined {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the operator table was not fitted');
    const mean = sum(this.#fitted, operators);
    if (mean === undefined) return undefined;
    return {
      mean,
      low: mean * (1 - Math.min(1, this.#relativeError)),
      high: mean * (1 + this.#relativeError),
    };
  }
}

function sum({ exact, rules }: Fitted, operators: readonly TableOperator[]): number | undefined {
  let total = 0;
  for (const { kind, key, quantities } of operators) {
    const known = exact.get(key);
    if (known !== undefined) {
      total += known;
      continue;
    }
    const rule = rules.get(kind);
    if (!rule) return undefined;
    const row = rule.design.matrix([quantities]).data;
    total += rule.constant + row.reduce((cost, value, j) => cost + value * (rule.weights[j] as number), 0);
  }
  return total;
}

/** Every shape once, at its mean: counts of one shape differ, where they do, by what a kernel finds in its data. */
function fitted(networks: readonly CountedNetwork[]): Fitted {
  const shapes = new Map<string, { readonly operator: TableOperator; readonly costs: number[] }>();
  for (const { operators } of networks)
    for (const operator of operators) {
      const known = shapes.get(operator.key);
      if (known) known.costs.push(operator.cost);
      else shapes.set(operator.key, { operator, costs: [operator.cost] });
    }
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const exact = new Map([...shapes].map(([key, { costs }]) => [key, mean(costs)]));
  const kinds = new Map<string, TableOperator[]>();
  for (const { operator } of shapes.values())
    kinds.set(operator.kind, [...(kinds.get(operator.kind) ?? []), operator]);
  const rules = new Map<string, Rule>();
  for (const [kind, operators] of kinds) {
    const costs = Float64Array.from(operators, ({ key }) => Math.max(1, exact.get(key) as number));
    const design = Design.of(operators.map(({ quantities }) => quantities));
    const x = design.matrix(operators.map(({ quantities }) => quantities));
    const rows = operators.map((_, i) => i);
    rules.set(kind, { design, ...fitTable(x, costs, rows, { penalty, loss: 'squares', maxSweeps }) });
  }
  return { exact, rules };
}
