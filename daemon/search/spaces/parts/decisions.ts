import type { Dim, Space } from '../contract.js';

type Choice = Dim['choices'][number];

/**
 * What an optimiser outside needs to know of a decision. An architecture holds the index of the choice.
 *
 * - `categorical`: no order is known.
 * - `ordinal`: numbers in order, `log` where each is the same multiple of the one before.
 * - `integer`: low, low + step, ..., high.
 */
export type Decision = {
  readonly name: string;
  readonly choices: readonly Choice[];
  /** Where the choice decides several things at once: each by itself. */
  readonly factors?: Factors;
} & (
  | { readonly kind: 'categorical' }
  | { readonly kind: 'ordinal'; readonly low: number; readonly high: number; readonly log: boolean }
  | {
      readonly kind: 'integer';
      readonly low: number;
      readonly high: number;
      readonly step: number;
      readonly log: boolean;
    }
);

export interface Factors {
  readonly decisions: readonly Decision[];
  /** The choice of the whole by the choices of its factors, the last factor's running fastest. */
  readonly choiceAt: readonly number[];
}

/** The decisions of a space with a fixed list of them; undefined where each creates the next. */
export const decisionsOf = ({ dims }: Pick<Space, 'dims'>): Decision[] | undefined => dims?.map(decisionOf);

function decisionOf({ name, choices, factors }: Dim): Decision {
  const apart = factors && {
    factors: { decisions: factors.dims.map(decisionOf), choiceAt: factors.choiceAt },
  };
  return { name, choices, ...orderOf(choices), ...apart };
}

function orderOf(choices: readonly Choice[]) {
  const categorical = { kind: 'categorical' as const };
  if (choices.length < 2 || !choices.every((choice) => typeof choice === 'number')) return categorical;
  const steps = choices.slice(1).map((choice, i) => choice - (choices[i] as number));
  const [step = 0] = steps;
  if (!steps.every((one) => one * step > 0)) return categorical;
  const [low, high] = [Math.min(...choices), Math.max(...choices)];
  if (step > 0 && choices.every(Number.isSafeInteger) && steps.every((one) => one === step))
    return { kind: 'integer' as const, low, high, step, log: false };
  const ratios = choices.slice(1).map((choice, i) => choice / (choices[i] as number));
  const log =
    choices.length > 2 &&
    low > 0 &&
    ratios.every((ratio) => Math.abs(ratio / (ratios[0] as number) - 1) < 1e-9);
  return { kind: 'ordinal' as const, low, high, log };
}
