import { HildaError } from '../core/errors.js';
import { gaussian, pick, randomInt, shuffled, Xoshiro128 } from '../core/rng.js';
import { assembleMeasurement } from '../measure/assemble.js';
import { measureLatency } from '../measure/measure-latency.js';
import { networkFacts } from '../measure/network-facts.js';
import { referenceFor, referenceNetworks } from '../measure/references.js';
import { countCost } from '../network/cost.js';
import { GraphBuilder } from '../network/graph-builder.js';
import { writeOnnx } from '../network/write-onnx.js';
import { memoryless, proposeUnseen, remembering } from '../search/samplers/plugin.js';
import { randomProposals } from '../search/samplers/random.js';
import { Unseen } from '../search/samplers/unseen.js';
import { Emitter } from '../search/spaces/parts/emitter.js';

/** The functions that a plug-in is called with. They change with `pluginContract` only. */
export const pluginApi = {
  HildaError,
  /** Chance: a sampler draws from the generator of its context, a driver from one that it seeds. */
  Xoshiro128,
  randomInt,
  pick,
  shuffled,
  gaussian,
  /** For samplers: see daemon/search/samplers/plugin.ts. */
  memoryless,
  remembering,
  proposeUnseen,
  randomProposals,
  Unseen,
  /** For spaces: networks by node, and by layer with their weights. */
  GraphBuilder,
  Emitter,
  /** For drivers: the protocol loop, and what turns its result into a judged measurement. */
  measureLatency,
  assembleMeasurement,
  networkFacts,
  referenceFor,
  referenceNetworks,
  countCost,
  writeOnnx,
} as const;

export type PluginApi = typeof pluginApi;
