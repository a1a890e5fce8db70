import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import type { Json } from '../../core/json.js';
import type { AskContext, Proposal, Sampler, SamplerNeed, Trial } from './contract.js';
import { randomProposals } from './random.js';
import { Unseen } from './unseen.js';

/** One published method: its name, what a study may set, and how it is made. */
export interface SamplerPlugin {
  readonly name: string;
  readonly options: z.ZodType;
  create(options: unknown): Sampler;
}

/** Ties the maker's type to the schema beside it. */
export const definePlugin = <S extends z.ZodType>(plugin: {
  readonly name: string;
  readonly options: S;
  create(options: z.infer<S>): Sampler;
}): SamplerPlugin => plugin as SamplerPlugin;

export const count = (initial: number): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(100_000).default(initial);
export const share = (initial: number): z.ZodDefault<z.ZodNumber> =>
  z.number().min(0).max(1).default(initial);
export const positive = (initial: number): z.ZodDefault<z.ZodNumber> => z.number().gt(0).default(initial);

/** What a study may set of every sampler that learns a policy: Adam's rate, and how many trials make a step. */
export const policyFields = (rate: number) => ({ rate: positive(rate), group: count(10) });

type Ask = (n: number, context: AskContext) => Proposal[];

/** A sampler that reads all it knows off the context. */
export const memoryless = (name: string, needs: readonly SamplerNeed[], ask: Ask): Sampler => ({
  name,
  needs,
  ask,
  tell() {},
  state: () => null,
  restore() {},
});

/** What a learning sampler keeps between two asks. `value` is JSON; assign it anew to change it. */
export interface Memory<S extends Json> {
  value: S;
  /** Trials told since the last ask, in the order of telling. */
  readonly news: readonly Trial[];
}

/** A sampler that learns from each trial once. It learns at the next ask, where space and objectives are known. */
export function remembering<S extends Json>(
  name: string,
  needs: readonly SamplerNeed[],
  initial: S,
  ask: (n: number, context: AskContext, memory: Memory<S>) => Proposal[],
): Sampler {
  let value = initial;
  let untold: number[] = [];
  return {
    name,
    needs,
    ask(n, context) {
      const waiting = new Set(untold);
      untold = [];
      const memory: Memory<S> = { value, news: context.history.filter((trial) => waiting.has(trial.number)) };
      const proposals = ask(n, context, memory);
      value = memory.value;
      return proposals;
    },
    tell(trials) {
      untold = [...untold, ...trials.map((trial) => trial.number)].sort((a, b) => a - b);
    },
    state: () => ({ value, untold }),
    restore(state) {
      const stored = state as { readonly value: S; readonly untold: readonly number[] } | null;
      if (!stored) return;
      value = stored.value;
      untold = [...stored.untold];
    },
  };
}

export interface Draw {
  readonly architecture: Architecture;
  readonly note: string;
}

/**
 * Up to n unseen proposals from `draw`. Random ones come first while fewer than `initial` trials are known or under
 * way (never with `initial` 0), and fill up where `draw` keeps giving what was seen.
 */
export function proposeUnseen(
  n: number,
  context: AskContext,
  draw: () => Draw | undefined,
  { initial = 1, tries = 30 }: { readonly initial?: number; readonly tries?: number } = {},
): Proposal[] {
  const unseen = new Unseen(context);
  const missing = Math.max(0, initial - context.history.length - context.pending.length);
  const atFirst = initial > 0 && context.history.length === 0 ? n : missing;
  const proposals = randomProposals(Math.min(n, atFirst), unseen);
  for (let failures = 0; proposals.length < n && failures < tries && !unseen.exhausted; ) {
    const drawn = draw();
    if (drawn && unseen.take(drawn.architecture)) proposals.push(drawn);
    else failures++;
  }
  return [...proposals, ...randomProposals(n - proposals.length, unseen)];
}

/** The normal form of a composed index vector, or undefined where the space excludes it. */
export function normalised({ space }: AskContext, architecture: Architecture): Architecture | undefined {
  try {
    return space.normalise(architecture);
  } catch {
    return undefined;
  }
}

export const indicesOf = (architecture: Architecture): readonly number[] => architecture as readonly number[];

export const choiceCounts = ({ space }: Pick<AskContext, 'space'>): number[] =>
  (space.dims ?? []).map((dim) => dim.choices.length);

/** Notes on proposals under way, by key; those of proposals that never come back are forgotten in time. */
export const recentNotes = <T>(notes: Iterable<readonly [string, T]>): readonly (readonly [string, T])[] =>
  [...notes].slice(-500);
