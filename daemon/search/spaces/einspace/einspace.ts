import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import { canonicalJson, type Json } from '../../../core/json.js';
import { drawIndex, pick, type Rng } from '../../../core/rng.js';
import { costFeatures, countCost } from '../../../network/cost.js';
import type { Graph } from '../../../network/graph.js';
import type { FreeStats, Space, WeightSource } from '../contract.js';
import { Emitter } from '../parts/emitter.js';
import { freeStats } from '../parts/free-stats.js';
import { boundedBuilder } from '../parts/network-bounds.js';
import { randomWeights } from '../parts/random-weights.js';
import { decisionTree } from './decisions.js';
import { DeadEnd, derive } from './derive.js';
import type { EinspaceFile } from './file.js';
import { type Bounds, type Form, formOf, identity, type Module, moduleCount, nodeCount } from './grammar.js';
import { emitModule } from './network.js';
import { canonical, placesOf } from './rewrite.js';
import { seedModules } from './seeds.js';

const derivationTries = 200;

export function einspaceSpace(file: EinspaceFile): Space {
  const bounds: Bounds = file;
  const input: Form = file.input;
  // A canonical derivation takes more modules than the one that was drawn.
  const nodeLimit = 2 * bounds.maxNodes;
  const moduleLimit = 2 * bounds.maxModules;
  const rootOf = (architecture: Architecture): Module =>
    (architecture as { readonly root?: unknown }).root as Module;
  const wrap = (module: Module): Architecture => ({ root: canonical(module) as unknown as Json });
  const normalise = (architecture: Architecture): Architecture => {
    if (
      typeof architecture !== 'object' ||
      architecture === null ||
      Array.isArray(architecture) ||
      !('root' in architecture)
    )
      throw new HildaError('ARCHITECTURE_INVALID', `${file.id} takes {"root": a derivation tree}`);
    const root = rootOf(architecture);
    formOf(root, input, bounds);
    const normal = wrap(root);
    if (nodeCount(rootOf(normal)) > nodeLimit)
      throw new HildaError('ARCHITECTURE_INVALID', `the derivation has more than ${nodeLimit} modules`);
    if (moduleCount(rootOf(normal)) > moduleLimit)
      throw new HildaError('ARCHITECTURE_INVALID', `the network has more than ${moduleLimit} modules`);
    return normal;
  };
  const weighted =
    (rng: Rng) =>
    (_: readonly string[], weights: readonly number[]): number =>
      drawIndex(weights, rng);
  /** Derivations that reach a dead end are begun anew. */
  const grow = (form: Form, rng: Rng): Module => {
    for (let i = 0; i < derivationTries; i++) {
      try {
        return derive(form, bounds, weighted(rng)).module;
      } catch (error) {
        if (!(error instanceof DeadEnd)) throw error;
      }
    }
    return identity;
  };
  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const b = boundedBuilder(file.id);
    const e = new Emitter(b, weights);
    const y = emitModule(e, b.input('input', 'float32', [1, ...input]), 'm', rootOf(normalise(architecture)));
    const isImage = b.dimsOf(y).length === 4;
    b.output(
      isImage ? e.imageHead(y, 'classifier', file.classes) : e.tokenHead(y, 'classifier', file.classes),
      'logits',
    );
    return b.build();
  };
  const known = new Map<
    string,
    { readonly stats: FreeStats; readonly features: ReadonlyMap<string, number> }
  >();
  const counted = (architecture: Architecture) => {
    const key = canonicalJson(normalise(architecture) as Json);
    const before = known.get(key);
    if (before) return before;
    const graph = network(architecture);
    const result = { stats: freeStats(graph), features: costFeatures(countCost(graph)) };
    if (known.size > 20_000) known.clear();
    known.set(key, result);
    return result;
  };

  return {
    id: file.id,
    size: Number.POSITIVE_INFINITY,
    sample(rng) {
      for (;;) {
        const drawn = wrap(grow(input, rng));
        const root = rootOf(drawn);
        if (nodeCount(root) <= nodeLimit && moduleCount(root) <= moduleLimit) return drawn;
      }
    },
    /** A module drawn uniformly is derived anew; what no longer fits around it is tried again (mutation in einspace). */
    mutate(architecture, rng) {
      const before = canonicalJson(normalise(architecture) as Json);
      const places = placesOf(rootOf(normalise(architecture)), input, bounds);
      for (let i = 0; i < derivationTries; i++) {
        const place = pick(rng, places);
        const child = place.replace(grow(place.form, rng));
        try {
          const normal = normalise({ root: child as unknown as Json });
          if (canonicalJson(normal as Json) !== before) return normal;
        } catch (error) {
          if (!(error instanceof HildaError)) throw error;
        }
      }
      return this.sample(rng);
    },
    normalise,
    tree: decisionTree(
      file.id,
      input,
      { ...bounds, maxNodes: nodeLimit, maxModules: moduleLimit },
      normalise,
    ),
    stats: (architecture) => counted(architecture).stats,
    features: (architecture) => counted(architecture).features,
    network,
    seeds: () => seedModules(file).map(wrap),
  };
}
