/** `hilda/search`: spaces, samplers and the loop of asking and telling, in the caller's own process. */
export type { Architecture } from '../core/architecture.js';
export { HildaError } from '../core/errors.js';
export { type Rng, Xoshiro128 } from '../core/rng.js';
export type { Graph } from '../network/graph.js';
export { writeOnnx } from '../network/write-onnx.js';
export { type AskedTrial, Search, type SearchOptions } from '../search/ask-tell.js';
export type {
  AskContext,
  Constraint,
  Objective,
  Prediction,
  Proposal,
  Sampler,
  SamplerNeed,
  Trial,
  TrialState,
} from '../search/samplers/contract.js';
export { createSampler, samplerNames } from '../search/samplers/registry.js';
export type { Dim, FreeStats, Space, WeightSource } from '../search/spaces/contract.js';
export { loadSpace } from '../search/spaces/registry.js';
