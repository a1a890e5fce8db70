/** `hilda/plugin`: what a plug-in is written against. At run time a plug-in is called with `PluginApi`. */
export type { Architecture } from '../core/architecture.js';
export type { Clock } from '../core/clock.js';
export type { DeviceId } from '../core/ids.js';
export type { Json } from '../core/json.js';
export type { Measurement } from '../core/measurement.js';
export type { Rng } from '../core/rng.js';
export type { Target } from '../core/target.js';
export type { CallOptions, Device, Driver, Limits, Sighting, Tensors } from '../devices/contract.js';
export type { Calibration } from '../measure/calibration.js';
export type { Protocol } from '../measure/protocol.js';
export type { RoundLeg, RoundRunner, TimedRound } from '../measure/round-runner.js';
export type { Graph } from '../network/graph.js';
export type { PluginApi } from '../plugins/api.js';
export {
  type DriverHost,
  type DriverKind,
  type EvaluatorHost,
  type EvaluatorKind,
  type GivenOptions,
  type GivenQuality,
  type ModelKind,
  type Plugin,
  type PluginEvaluator,
  type PluginFactory,
  type PluginSpace,
  pluginContract,
  type SamplerKind,
  type SpaceKind,
} from '../plugins/contract.js';
export type { FittedModel, ModelSamples } from '../predict/picker/other-models.js';
export type { AskContext, Proposal, Sampler, SamplerNeed, Trial } from '../search/samplers/contract.js';
export type { Dim, Space, WeightSource } from '../search/spaces/contract.js';
