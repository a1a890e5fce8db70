import type { WeightLayout } from './layout/format.js';
import type { LinearCost } from './passes/fold-low-rank.js';

/** What the compiler must know of a board; part of its profile (profiles/boards). */
export interface CompilerBoard {
  readonly weightLayout: WeightLayout;
  /** SRAM left for the arena. */
  readonly arenaBytes: number;
  /** Flash left for programs; Infinity where programs are kept elsewhere. */
  readonly flashBytes: number;
  /**
   * `flash`: kernels read weights where they lie. `sram`, `external`: each layer's weights are first copied to a tile in
   * the arena; external memory does not count as flash.
   */
  readonly weightsAt: 'flash' | 'sram' | 'external';
  /** Pseudo-random weights on the board for latency runs; 0 where it has none. */
  readonly poolBytes: number;
  /** Largest weight tile; layers with more weights are cut by output channels. */
  readonly tileBytes?: number;
  /** Whether the firmware can fetch a network's input in slices while it runs. */
  readonly fetchesInput: boolean;
  /** What decides whether a low-rank chain is multiplied out. */
  readonly cost?: LinearCost;
}

/**
 * Cycles of a product and of an output by core, from kernel counts on emulated cores (instructions on M4, M7 and M55,
 * modelled cycles on M0+). They only weigh one way to compute a layer against the other.
 */
export const linearCosts: Readonly<Record<WeightLayout, LinearCost>> = {
  rows: { perMac: 7, perOutput: 30 },
  scalar: { perMac: 6, perOutput: 40 },
  dsp: { perMac: 1.2, perOutput: 14 },
  mve: { perMac: 0.3, perOutput: 6 },
};
