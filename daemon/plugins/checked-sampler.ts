import { z } from 'zod';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { AskContext, Proposal, Sampler, SamplerNeed, Trial } from '../search/samplers/contract.js';
import type { SamplerPlugin } from '../search/samplers/plugin.js';
import type { GivenOptions, SamplerKind } from './contract.js';

const needs: readonly string[] = ['dims', 'crossover', 'predict'] satisfies SamplerNeed[];
const stateSchema = z.json();
const proposalsSchema = z.array(z.looseObject({ architecture: z.json(), note: z.string().optional() }));

/** A sampler of a plug-in, as studies name those of hilda. What it answers is checked at every call. */
export function checkedSampler(kind: SamplerKind, plugin: string): SamplerPlugin {
  const { name } = kind;
  return {
    name,
    options: z.record(z.string(), z.unknown()),
    create: (given) => {
      const options = readOptions(kind, given as GivenOptions);
      const who = `the sampler ${name} of ${plugin}`;
      const inner = guard(who, 'create', () => kind.create(options));
      return new CheckedSampler(name, inner, who);
    },
  };
}

function readOptions(kind: SamplerKind, given: GivenOptions): unknown {
  try {
    if (kind.readOptions) return kind.readOptions(given);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new HildaError('SPEC_INVALID', `options of the sampler ${kind.name}: ${why}`, {
      cause: thrown,
      details: { fields: ['sampler.options'] },
    });
  }
  const [first] = Object.keys(given);
  if (first === undefined) return {};
  throw new HildaError('SPEC_INVALID', `options of the sampler ${kind.name}: it takes none, not ${first}`, {
    details: { fields: [`sampler.options.${first}`] },
  });
}

/** Holds a sampler to the contract. A study whose sampler breaks it ends with PLUGIN_FAILED. */
class CheckedSampler implements Sampler {
  readonly name: string;
  readonly needs: readonly SamplerNeed[];
  readonly #inner: Sampler;
  readonly #who: string;

  constructor(name: string, inner: Sampler, who: string) {
    this.name = name;
    this.#inner = inner;
    this.#who = who;
    const methods = ['ask', 'tell', 'state', 'restore'] as const;
    const missing = methods.filter((method) => typeof inner?.[method] !== 'function');
    if (missing.length > 0) throw broken(who, `has no ${missing.join(', ')}`);
    const own = guard(who, 'needs', () => [...(inner.needs ?? [])]);
    const unknown = own.filter((need) => !needs.includes(need));
    if (unknown.length > 0) throw broken(who, `needs ${unknown.join(', ')}, which no study offers`);
    this.needs = own;
  }

  ask(n: number, context: AskContext): Proposal[] {
    const answer = guard(this.#who, 'ask', () => this.#inner.ask(n, context));
    const parsed = proposalsSchema.safeParse(answer);
    if (!parsed.success)
      throw broken(this.#who, `gave no list of proposals: ${z.prettifyError(parsed.error)}`);
    const proposals = parsed.data;
    if (proposals.length > n) throw broken(this.#who, `gave ${proposals.length} proposals, asked for ${n}`);
    return proposals.map(({ architecture, note }) => ({
      architecture: this.#normal(architecture as Json, context),
      ...(note !== undefined && { note: note.slice(0, 200) }),
    }));
  }

  tell(trials: readonly Trial[]): void {
    guard(this.#who, 'tell', () => this.#inner.tell(trials));
  }

  state(): Json {
    const state = guard(this.#who, 'state', () => this.#inner.state());
    const parsed = stateSchema.safeParse(state);
    if (!parsed.success) throw broken(this.#who, 'has a state that is no JSON');
    return parsed.data as Json;
  }

  restore(state: Json): void {
    guard(this.#who, 'restore', () => this.#inner.restore(state));
  }

  /** Ids name normal forms: two architectures that build one network must not be two trials. */
  #normal(architecture: Json, { space }: AskContext): Proposal['architecture'] {
    try {
      return space.normalise(architecture as Proposal['architecture']);
    } catch (cause) {
      const shown = JSON.stringify(architecture).slice(0, 200);
      throw broken(this.#who, `proposed ${shown}, which is no architecture of ${space.id}`, cause);
    }
  }
}

function guard<T>(who: string, step: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw broken(who, `threw in ${step}: ${asHildaError(thrown).message}`, thrown);
  }
}

const broken = (who: string, why: string, cause?: unknown): HildaError =>
  new HildaError('PLUGIN_FAILED', `${who} ${why}`, { cause });
