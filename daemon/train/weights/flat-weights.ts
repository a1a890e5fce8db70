import { elementCount } from '../../network/graph.js';
import type { NamedTensor } from './safetensors.js';

/**
 * Tensors as views into one vector, so that an optimiser steps over all of them at once. Running statistics
 * (`*.mean`, `*.var`) are not among them: training does not touch them.
 */
export class FlatWeights {
  readonly vector: Float32Array;
  readonly tensors: ReadonlyMap<string, NamedTensor>;

  constructor(shapes: Iterable<readonly [string, readonly number[]]>) {
    const trained = [...shapes].filter(([name]) => isTrained(name));
    this.vector = new Float32Array(trained.reduce((sum, [, dims]) => sum + elementCount(dims), 0));
    let offset = 0;
    this.tensors = new Map(
      trained.map(([name, dims]) => {
        const data = this.vector.subarray(offset, offset + elementCount(dims));
        offset += data.length;
        return [name, { dims, data }];
      }),
    );
  }

  /** Copies the tensors of these names; others are left out. */
  static of(tensors: ReadonlyMap<string, NamedTensor>): FlatWeights {
    const flat = new FlatWeights([...tensors].map(([name, { dims }]) => [name, dims] as const));
    for (const [name, { data }] of flat.tensors) data.set((tensors.get(name) as NamedTensor).data);
    return flat;
  }

  /** 1 for every element of a matrix or kernel; biases, normalisations and positions are not decayed. */
  decayed(): Float32Array {
    const mask = new Float32Array(this.vector.length);
    let offset = 0;
    for (const [name, { dims, data }] of this.tensors) {
      const isMatrix = dims.filter((size) => size > 1).length >= 2 && !name.endsWith('.position');
      mask.fill(isMatrix ? 1 : 0, offset, offset + data.length);
      offset += data.length;
    }
    return mask;
  }
}

export const isTrained = (name: string): boolean => !/\.(mean|var)$/.test(name);
