import type { Emitter } from '../parts/emitter.js';
import type { Module, Pre } from './grammar.js';

/** Emits a module on x, [batch, channels, height, width] or [batch, tokens, features]; weights are named by `path`. */
export function emitModule(e: Emitter, x: string, path: string, module: Module): string {
  const { b } = e;
  switch (module.m) {
    case 'seq':
      return emitModule(e, emitModule(e, x, `${path}.a`, module.first), `${path}.b`, module.next);
    case 'route': {
      const inside = emitModule(e, emitPre(e, x, module.pre), `${path}.r`, module.inner);
      if (module.post === 'identity') return inside;
      if (module.post === 'permute') return b.transpose(inside, [0, 2, 1]);
      const side = Math.round(Math.sqrt(b.dimsOf(inside)[1] as number));
      return e.toImage(inside, side, side);
    }
    case 'branch': {
      const axis = b.dimsOf(x).length === 4 ? 1 : 2;
      const size = (b.dimsOf(x)[axis] as number) / module.ways;
      const inputs =
        module.split === 'clone'
          ? Array.from({ length: module.ways }, () => x)
          : b.split(
              x,
              axis,
              Array.from({ length: module.ways }, () => size),
            );
      const outputs = inputs.map((input, i) =>
        emitModule(e, input, `${path}.${i}`, module.parts[i % module.parts.length] as Module),
      );
      const [first, second] = outputs as [string, string];
      if (module.join === 'add') return outputs.slice(1).reduce((sum, y) => b.add(sum, y), first);
      if (module.join === 'concat') return b.concat(outputs, b.dimsOf(first).length === 4 ? 1 : 2);
      const product = b.matMul(first, second);
      return module.join === 'dot'
        ? product
        : b.mul(product, b.scalar((b.dimsOf(first)[2] as number) ** -0.5));
    }
    case 'comp':
      return emitComputation(e, x, path, module);
  }
}

function emitComputation(
  e: Emitter,
  x: string,
  path: string,
  module: Extract<Module, { m: 'comp' }>,
): string {
  const { b } = e;
  switch (module.f) {
    case 'identity':
      return x;
    case 'linear':
      return e.linear(x, path, module.width as number);
    case 'norm':
      return b.dimsOf(x).length === 4 ? e.batchNorm(x, path) : e.layerNorm(x, path);
    case 'leakyRelu':
      return b.node('LeakyRelu', [x], { alpha: 0.01 });
    case 'softmax':
      return b.softmax(x);
    case 'position':
      return b.add(x, e.weight(`${path}.position`, [1, ...b.dimsOf(x).slice(1)]));
  }
}

function emitPre(e: Emitter, x: string, pre: Pre): string {
  const { b } = e;
  if (pre === 'identity') return x;
  if (pre === 'permute') return b.transpose(x, [0, 2, 1]);
  const patch = Number(pre.slice('im2col'.length));
  const [, channels, height, width] = b.dimsOf(x) as [number, number, number, number];
  if (patch === 1) return e.toTokens(x);
  if (patch <= 3) {
    // A depthwise convolution with one-hot kernels gathers each pixel's neighbourhood.
    const area = patch * patch;
    const kernels = new Float32Array(channels * area * area);
    for (let k = 0; k < channels * area; k++) kernels[k * area + (k % area)] = 1;
    const gather = e.fixed(`fixed.im2col${patch}.${channels}`, [channels * area, 1, patch, patch], kernels);
    return e.toTokens(b.conv(x, gather, undefined, { groups: channels }));
  }
  const [rows, columns] = [height / patch, width / patch];
  const tiles = b.transpose(b.reshape(x, [0, channels, rows, patch, columns, patch]), [0, 2, 4, 1, 3, 5]);
  return b.reshape(tiles, [0, rows * columns, channels * patch * patch]);
}
