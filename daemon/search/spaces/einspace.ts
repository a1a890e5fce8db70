import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { HildaError } from '../../core/errors.js';
import { canonicalJson, type Json } from '../../core/json.js';
import { pick, type Rng } from '../../core/rng.js';
import { costFeatures, countCost } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';
import { GraphBuilder } from '../../network/graph-builder.js';
import type { DecisionTree, FreeStats, Space, WeightSource } from './contract.js';
import {
  type Bounds,
  canonical,
  DeadEnd,
  derive,
  type Form,
  formOf,
  identity,
  type Module,
  moduleCount,
  nodeCount,
  optionsOf,
  placesOf,
} from './einspace-grammar.js';
import { emitModule } from './einspace-network.js';
import { Emitter } from './emitter.js';
import { distinct, imageFile, size } from './file-fields.js';
import { freeStats } from './mbconv.js';
import { randomWeights } from './random-weights.js';

/** einspace (Ericsson et al., NeurIPS 2024): architectures are derivations of a grammar, JSON trees. Images are square. */
export const einspaceFileSchema = z.strictObject({
  ...imageFile('einspace'),
  /** Of linear layers. */
  widths: distinct(size),
  /** Of im2col: 1 and 3 slide by one pixel, others tile. */
  patches: distinct(z.number().int().min(1).max(32)),
  maxNodes: z.number().int().min(4).max(400),
  /** Of the network: branches of four and eight ways repeat a part, and may stand inside each other. */
  maxModules: z.number().int().min(4).max(4000).default(256),
  maxElements: z.number().int().min(256).max(10_000_000),
});

export type EinspaceFile = z.infer<typeof einspaceFileSchema>;

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
    (_: readonly string[], weights: readonly number[]): number => {
      let left = rng.next() * weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < weights.length; i++) {
        left -= weights[i] as number;
        if (left < 0) return i;
      }
      return weights.length - 1;
    };
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
    const b = new GraphBuilder({ name: file.id });
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

class NextDecision extends Error {
  constructor(readonly choices: number) {
    super('a decision is left');
  }
}

/** Derivation as a list of decisions. Where a single option fits there is nothing to decide. */
function decisionTree(
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

const seq = (...modules: readonly Module[]): Module =>
  modules
    .slice(0, -1)
    .reduceRight<Module>((next, first) => ({ m: 'seq', first, next }), modules.at(-1) ?? identity);
const comp = (f: 'norm' | 'leakyRelu' | 'softmax' | 'position'): Module => ({ m: 'comp', f });
const linear = (width: number): Module => ({ m: 'comp', f: 'linear', width });
const residual = (inner: Module): Module => ({
  m: 'branch',
  split: 'clone',
  ways: 2,
  parts: [inner, identity],
  join: 'add',
});

/** A residual convolution block, a vision transformer's block and a token MLP, in the grammar's own words. */
function seedModules(file: EinspaceFile): Module[] {
  const width = file.widths[Math.floor(file.widths.length / 2)] as number;
  const patch = file.patches.find((p) => p > 3 && file.input[1] % p === 0);
  const conv: Module = { m: 'route', pre: 'im2col3', inner: linear(width), post: 'col2im' };
  const seeds: Module[] = [];
  if (file.patches.includes(3) && patch !== undefined) {
    const stem: Module = { m: 'route', pre: `im2col${patch}`, inner: linear(width), post: 'col2im' };
    seeds.push(
      seq(
        stem,
        comp('norm'),
        comp('leakyRelu'),
        residual(seq(conv, comp('norm'), comp('leakyRelu'), conv, comp('norm'))),
        comp('leakyRelu'),
      ),
    );
  }
  if (patch !== undefined) {
    const scores: Module = {
      m: 'branch',
      split: 'clone',
      ways: 2,
      parts: [linear(width), { m: 'route', pre: 'identity', inner: linear(width), post: 'permute' }],
      join: 'scaledDot',
    };
    const attention: Module = {
      m: 'branch',
      split: 'clone',
      ways: 2,
      parts: [seq(scores, comp('softmax')), linear(width)],
      join: 'dot',
    };
    const mlp = seq(comp('norm'), linear(width), comp('leakyRelu'), linear(width));
    const embed: Module = { m: 'route', pre: `im2col${patch}`, inner: linear(width), post: 'identity' };
    seeds.push(
      seq(embed, comp('position'), residual(seq(comp('norm'), attention, linear(width))), residual(mlp)),
    );
    seeds.push(seq(embed, residual(mlp), residual(mlp)));
  }
  return seeds;
}
