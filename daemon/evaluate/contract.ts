import type { Architecture } from '../core/architecture.js';
import type { AnswersOf, EvidenceOf } from '../core/evidence.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import type { Examples } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';

export interface Quality {
  /** By metric, e.g. `{ accuracy: 0.893 }`: accuracy as a share of 1. */
  readonly values: Readonly<Record<string, number>>;
  /** On how many examples, of which data and split: printed beside the value. */
  readonly source: string;
  /** What values rest on. One that is left out came bare: it has no interval. */
  readonly evidence?: EvidenceOf;
  /** Image by image, where the evaluator showed the images itself. */
  readonly answers?: AnswersOf;
  /** Which limit of the evaluator's own the network breaks, with any values. */
  readonly broken?: string;
}

/**
 * Gives an architecture's task quality. Deterministic: the same architecture gets the same answer.
 * Throws ARCHITECTURE_INVALID, SUPERNET_INVALID, and EVALUATION_FAILED where it gives no value through no fault of the network.
 */
export interface Evaluator {
  readonly metrics: readonly string[];
  readonly cost: 'free' | 'cheap' | 'train';
  /** Nothing of its work is done on this host. */
  readonly isOutside?: boolean;
  /** What its images are and how they were normalised; absent where it has none, or the shipped ones. */
  readonly data?: DataRecord | null;
  evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality>;
  /**
   * Quality of the network as a device runs it, which `classify` asks: see `Device.classify`. Absent where the evaluator
   * has no examples to show it.
   */
  deployed?(
    architecture: Architecture,
    classify: (network: Graph, examples: Examples) => Promise<ArrayLike<number>>,
    options: { readonly signal: AbortSignal },
  ): Promise<Quality>;
  /** Ranges of a network's values over the examples that `deployed` calibrates with, and what those are. */
  readonly ranges?: Examples['ranges'];
  readonly rangesOf?: string;
  /** The network with the very weights that were scored, ready to deploy; absent where the evaluator has none. */
  network?(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Graph>;
  close(): Promise<void>;
}
