import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import type { Json } from '../../../core/json.js';
import type { DecisionTree } from '../contract.js';
import { DeadEnd, derive, optionsOf } from './derive.js';
import type { Bounds, Form, Module } from './grammar.js';

class NextDecision extends Error {
  constructor(readonly choices: number) {
    super('a decision is left');
  }
}

/** Derivation as a list of decisions. Where a single option fits there is nothing to decide. */
export function decisionTree(
  id: string,
  input: Form,
  bounds: Bounds,
  normalise: (architecture: Architecture) => Architecture,
): DecisionTree {
  const replay = (taken: readonly number[]): Module => {
    let at = 0;
    const { module } = derive(input, bounds, (options) => {
      if (options.length === 1) return 0;
      if (at >= taken.length) throw new NextDecision(options.length);
      const index = taken[at++] as number;
      if (!Number.isInteger(index) || index < 0 || index >= options.length)
        throw new HildaError(
          'ARCHITECTURE_INVALID',
          `decision ${at} of ${id} has ${options.length} choices, not ${index}`,
        );
      return index;
    });
    if (at < taken.length)
      throw new HildaError('ARCHITECTURE_INVALID', `${taken.length - at} decisions too many for ${id}`);
    return module;
  };
  return {
    choices(taken) {
      try {
        replay(taken);
        return 0;
      } catch (error) {
        if (error instanceof NextDecision) return error.choices;
        if (error instanceof DeadEnd) return 0;
        throw error;
      }
    },
    architecture(taken) {
      try {
        return normalise({ root: replay(taken) as unknown as Json });
      } catch (error) {
        if (error instanceof HildaError) throw error;
        throw new HildaError('ARCHITECTURE_INVALID', `the decisions lead to no architecture of ${id}`, {
          cause: error,
        });
      }
    },
    decisions(architecture) {
      const wanted = optionsOf((normalise(architecture) as unknown as { readonly root: Module }).root);
      const taken: number[] = [];
      let at = 0;
      derive(input, bounds, (options) => {
        const index = options.indexOf(wanted[at++] as string);
        if (options.length > 1) taken.push(index);
        return index;
      });
      return taken;
    },
  };
}
