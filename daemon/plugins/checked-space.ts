import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import { asHildaError, HildaError } from '../core/errors.js';
import { costFeatures, countCost, type NetworkCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';
import type { Dim, Space, WeightSource } from '../search/spaces/contract.js';
import { freeStats } from '../search/spaces/parts/free-stats.js';
import { indexMoves } from '../search/spaces/parts/index-moves.js';
import { randomWeights } from '../search/spaces/parts/random-weights.js';
import type { SpacePlugin } from '../search/spaces/registry.js';
import type { GivenOptions, PluginSpace, SpaceKind } from './contract.js';

const choice = z.union([z.number().refine(Number.isFinite), z.string().min(1).max(200)]);
const dimsSchema = z
  .array(z.looseObject({ name: z.string().min(1).max(200), choices: z.array(choice).min(1).max(10_000) }))
  .min(1)
  .max(1000)
  .refine((dims) => new Set(dims.map(({ name }) => name)).size === dims.length, 'two have one name');
const idSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'lower-case letters, digits and hyphens');

/** Networks whose costs are kept. */
const mostKept = 5000;

/**
 * A kind of space of a plug-in. The plug-in gives decisions and networks; moves, normal forms' checks, costs and features are
 * hilda's own. A space that breaks the contract throws PLUGIN_FAILED.
 */
export function checkedSpace(kind: SpaceKind, plugin: string): SpacePlugin {
  const who = `the space ${kind.kind} of ${plugin}`;
  return {
    kind: kind.kind,
    create: (file) => {
      const id = idSchema.safeParse((file as { readonly id?: unknown }).id);
      if (!id.success) throw invalid(kind, `id: ${z.prettifyError(id.error)}`);
      const options = readFile(kind, file as GivenOptions);
      return openSpace(
        id.data,
        guard(who, 'create', () => kind.create(options)),
        who,
      );
    },
  };
}

function readFile(kind: SpaceKind, file: GivenOptions): unknown {
  const { kind: _, id: __, ...given } = file;
  try {
    if (kind.readFile) return kind.readFile(given);
  } catch (thrown) {
    throw invalid(kind, thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
  const [first] = Object.keys(given);
  if (first === undefined) return {};
  throw invalid(kind, `it takes nothing beside kind and id, not ${first}`);
}

function openSpace(id: string, inner: PluginSpace, who: string): Space {
  if (typeof inner?.network !== 'function') throw broken(who, 'has no network');
  const parsed = dimsSchema.safeParse(inner.dims);
  if (!parsed.success) throw broken(who, `has no list of decisions: ${z.prettifyError(parsed.error)}`);
  const dims: readonly Dim[] = parsed.data.map(({ name, choices }) => ({ name, choices }));
  const isVector = (given: unknown): given is readonly number[] =>
    Array.isArray(given) &&
    given.length === dims.length &&
    given.every((index, i) => Number.isInteger(index) && index >= 0 && index < dims[i]!.choices.length);
  const normal = (indices: readonly number[]): readonly number[] => {
    if (!inner.normal) return indices;
    const once = guard(who, 'normal', () => inner.normal?.([...indices]));
    const twice = isVector(once) ? guard(who, 'normal', () => inner.normal?.([...once])) : undefined;
    if (isVector(once) && String(once) === String(twice)) return once;
    throw broken(who, `has no normal form of ${JSON.stringify(indices)}: ${JSON.stringify(once)}`);
  };
  const moves = indexMoves(id, dims, normal);
  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const indices = moves.normalise(architecture);
    return guard(who, `network of ${JSON.stringify(indices)}`, () => inner.network([...indices], weights));
  };
  const known = new Map<string, NetworkCost>();
  const costOf = (architecture: Architecture): NetworkCost => {
    const key = moves.normalise(architecture).join();
    const kept = known.get(key);
    if (kept) return kept;
    const graph = network(architecture);
    const cost = guard(who, `network of ${key}, counted`, () => countCost(graph));
    if (known.size >= mostKept) known.clear();
    known.set(key, cost);
    return cost;
  };
  const seeds = guard(who, 'seeds', () => inner.seeds?.() ?? []);
  if (!Array.isArray(seeds) || !seeds.every(isVector))
    throw broken(who, 'has seeds that are none of its own');
  return {
    id,
    dims,
    size: sizeOf(inner, dims, who),
    ...moves,
    network,
    stats: (architecture) => freeStats(costOf(architecture)),
    features: (architecture) => costFeatures(costOf(architecture)),
    seeds: () => seeds.map((seed) => moves.normalise(seed)),
  };
}

function sizeOf({ size }: PluginSpace, dims: readonly Dim[], who: string): number {
  const vectors = dims.reduce((product, { choices }) => product * choices.length, 1);
  if (size === undefined) return vectors;
  if (Number.isInteger(size) && size >= 1 && size <= vectors) return size;
  throw broken(who, `has the size ${size}, with ${vectors} vectors of decisions`);
}

const invalid = ({ kind }: SpaceKind, why: string, cause?: unknown): HildaError =>
  new HildaError('SPACE_INVALID', `a space of the kind ${kind}: ${why}`, { cause });

function guard<T>(who: string, step: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw broken(who, `threw in ${step}: ${asHildaError(thrown).message}`, thrown);
  }
}

const broken = (who: string, why: string, cause?: unknown): HildaError =>
  new HildaError('PLUGIN_FAILED', `${who} ${why}`, { cause });
