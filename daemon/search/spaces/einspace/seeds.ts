import type { EinspaceFile } from './file.js';
import { identity, type Module } from './grammar.js';

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
export function seedModules(file: EinspaceFile): Module[] {
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
