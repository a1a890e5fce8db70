import { type Clock, systemClock } from '../core/clock.js';
import { type Rng, randomInt, Xoshiro128 } from '../core/rng.js';
import { type Action, type Edge, type FaultPlanInput, type FaultRule, parseFaultPlan } from './fault-plan.js';

/** A fault that strikes now. */
export interface Strike {
  readonly action: Action;
  /** Of the rule, in the plan's order, from 0. */
  readonly rule: number;
  /** Of a delay; of a step of the clock. */
  readonly ms: number;
  /** Code of a failure. */
  readonly as: string | undefined;
  readonly rng: Rng;
}

/** A strike and where it was. */
export interface StruckPlace extends Pick<Strike, 'action' | 'rule'> {
  readonly edge: Edge;
  readonly place: string;
}

export interface SwitchboardOptions {
  /** Hears of each strike. */
  readonly onStrike?: (struck: StruckPlace) => void;
  /** By which delays pass. */
  readonly clock?: Clock;
}

interface Armed {
  readonly rule: FaultRule;
  readonly index: number;
  readonly rng: Rng;
  passages: number;
  strikes: number;
}

const defaultMs = 1000;

/**
 * Decides at each passage of an edge whether a fault strikes. Each rule has a generator of its own, so the same passages in the
 * same order are struck alike. The first rule that strikes wins.
 */
export class Switchboard {
  readonly clock: Clock;
  readonly #onStrike: ((struck: StruckPlace) => void) | undefined;
  #armed: readonly Armed[] = [];
  #before = 0;

  /** Throws SPEC_INVALID. */
  constructor(plan: FaultPlanInput, { onStrike, clock = systemClock }: SwitchboardOptions = {}) {
    this.#onStrike = onStrike;
    this.clock = clock;
    this.replace(plan);
  }

  /** Other rules from now on. Throws SPEC_INVALID, and the former rules stay. */
  replace(plan: FaultPlanInput): void {
    const { seed, rules } = parseFaultPlan(plan);
    this.clear();
    this.#armed = rules.map((rule, index) => ({
      rule,
      index,
      rng: Xoshiro128.fromSeed(rule.seed ?? seed + 7919 * index),
      passages: 0,
      strikes: 0,
    }));
  }

  /** No fault strikes from now on, until `replace`. */
  clear(): void {
    this.#before = this.strikes;
    this.#armed = [];
  }

  get rules(): number {
    return this.#armed.length;
  }

  /** Of all rules so far. */
  get strikes(): number {
    return this.#armed.reduce((sum, { strikes }) => sum + strikes, this.#before);
  }

  /** How often each present rule struck, in the plan's order. */
  counts(): number[] {
    return this.#armed.map(({ strikes }) => strikes);
  }

  /** What strikes at this passage, of what can happen at the place. */
  strike(edge: Edge, place: string, possible: readonly Action[]): Strike | null {
    for (const armed of this.#armed) {
      const { rule, index, rng } = armed;
      if (rule.edge !== edge || !possible.includes(rule.action) || !matches(place, rule.match)) continue;
      if (rule.times !== undefined && armed.strikes >= rule.times) continue;
      armed.passages++;
      if (!isDue(armed)) continue;
      armed.strikes++;
      this.#onStrike?.({ edge, place, action: rule.action, rule: index });
      return { action: rule.action, rule: index, ms: rule.ms ?? defaultMs, as: rule.as, rng };
    }
    return null;
  }
}

function isDue({ rule: { probability, every, nth }, passages, rng }: Armed): boolean {
  if (nth !== undefined) return passages === nth;
  if (every !== undefined) return passages % every === 0;
  return probability === undefined || rng.next() < probability;
}

/** Whether the place contains the pattern, whose `*` stand for any text. Linear in the length of both. */
export function matches(place: string, pattern: string): boolean {
  let from = 0;
  for (const part of pattern.split('*')) {
    const at = place.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}

/** Bytes as they arrive: cut somewhere, or with a few bits flipped. The given bytes stay as they are. */
export function struckBytes(bytes: Uint8Array, { action, rng }: Strike): Uint8Array {
  if (bytes.length === 0) return bytes;
  if (action === 'truncate') return bytes.slice(0, randomInt(rng, bytes.length));
  const flipped = Uint8Array.from(bytes);
  for (let flips = 1 + randomInt(rng, 3); flips > 0; flips--) {
    const at = randomInt(rng, flipped.length);
    flipped[at] = (flipped[at] as number) ^ (1 << randomInt(rng, 8));
  }
  return flipped;
}

/** As `struckBytes`; a corrupted text has other characters. */
export function struckText(text: string, { action, rng }: Strike): string {
  if (text.length === 0) return text;
  const at = randomInt(rng, text.length);
  if (action === 'truncate') return text.slice(0, at);
  return `${text.slice(0, at)}${String.fromCharCode(33 + randomInt(rng, 90))}${text.slice(at + 1)}`;
}
