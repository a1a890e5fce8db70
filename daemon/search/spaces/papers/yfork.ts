import { z } from 'zod';
import { chainSpace, chosen, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import type { Emitter } from '../parts/emitter.js';
import { distinct, namedFile, size } from '../parts/file-fields.js';

/**
 * A shared encoder that forks into one branch a task (UniFork, Li et al. 2025; Efficient Controllable Multi-Task
 * Architectures, Aich et al., ICCV 2023). Where it forks, and how wide trunk and branches are, are decisions. Widths are
 * leading slices of the same weights (Slimmable, Yu et al. 2019): all widths share one set, so a device that holds the
 * widest can run any of them.
 */
export const yforkFileSchema = z.strictObject({
  ...namedFile('yfork'),
  input: z.tuple([size, size, size]),
  /** Output width of each task's head, by name. */
  tasks: z
    .record(z.string().regex(/^[a-z][a-zA-Z0-9]*$/), size)
    .refine((t) => Object.keys(t).length >= 2, 'at least two tasks'),
  stemWidth: size,
  layers: z
    .array(z.strictObject({ width: size, stride: z.number().int().min(1).max(2) }))
    .min(2)
    .max(16),
  /** Layers that stay shared; the rest belongs to each branch. */
  forks: distinct(z.number().int().min(1).max(15)),
  multipliers: distinct(z.number().gt(0).max(1)),
});

export type YforkFile = z.infer<typeof yforkFileSchema>;

export function yforkSpace(file: YforkFile): Space {
  const tasks = Object.entries(file.tasks);
  const forks = file.forks.filter((fork) => fork < file.layers.length);
  const widthOf = (width: number, multiplier: number): number =>
    Math.max(4, Math.round((width * multiplier) / 4) * 4);
  const chain = (
    e: Emitter,
    x: string,
    prefix: string,
    from: number,
    to: number,
    multiplier: number,
  ): string =>
    file.layers.slice(from, to).reduce((y, { width, stride }, i) => {
      const out = widthOf(width, multiplier);
      const name = `${prefix}layer${from + i + 1}`;
      const deep = e.conv(y, `${name}.depthwise`, {
        out: e.b.dimsOf(y)[1] as number,
        kernel: 3,
        stride,
        depthwise: true,
      });
      return e.conv(deep, `${name}.point`, { out, kernel: 1 });
    }, x);
  const at = (values: readonly number[], value: number): number => values.indexOf(value);
  const [narrow, wide] = [Math.min(...file.multipliers), Math.max(...file.multipliers)];
  return chainSpace({
    id: file.id,
    dims: [
      { name: 'fork', choices: forks },
      { name: 'trunk.width', choices: file.multipliers },
      ...tasks.map(([task]) => ({ name: `${task}.width`, choices: file.multipliers })),
    ],
    input: () => [1, ...file.input],
    outputName: tasks.at(-1)?.[0] ?? 'logits',
    parts: (indices): Part[] => {
      const fork = chosen(forks, indices[0]);
      const trunk = chosen(file.multipliers, indices[1]);
      const branch = (t: number): number => chosen(file.multipliers, indices[2 + t]);
      return [
        {
          key: `stem ${trunk}`,
          emit: (e, x) => e.conv(x, 'stem', { out: widthOf(file.stemWidth, trunk), kernel: 3, stride: 2 }),
        },
        { key: `trunk ${fork} ${trunk}`, emit: (e, x) => chain(e, x, '', 0, fork, trunk) },
        {
          key: `branches ${fork} ${tasks.map((_, t) => branch(t))}`,
          emit: (e, x) => {
            const outputs = tasks.map(([task, classes], t) => {
              const features = chain(e, x, `${task}.`, fork, file.layers.length, branch(t));
              return { task, value: e.imageHead(features, `${task}.head`, classes) };
            });
            // The last task's value becomes the chain's output.
            for (const { task, value } of outputs.slice(0, -1)) e.b.output(value, task);
            return outputs.at(-1)?.value as string;
          },
        },
      ];
    },
    seeds: [
      [
        at(forks, Math.max(...forks)),
        at(file.multipliers, narrow),
        ...tasks.map(() => at(file.multipliers, narrow)),
      ],
      [
        at(forks, Math.min(...forks)),
        at(file.multipliers, wide),
        ...tasks.map(() => at(file.multipliers, wide)),
      ],
    ],
  });
}
