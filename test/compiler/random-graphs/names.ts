import { pick, type Rng, randomInt } from '../../../daemon/core/rng.js';

/** Names that programs give, that JavaScript objects have, and that look like paths, numbers or nothing sensible. */
const odd = [
  'constructor',
  '__proto__',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'least.0',
  'most.0',
  '0',
  '-1',
  'x y',
  'größe',
  '层/输出:0',
  'input',
  'output',
  '"quoted"',
  'a\\b',
  '#',
];
/** Endings that passes and exporters put behind a value's name. */
const endings = [
  '.weight',
  '.bias',
  '.scale',
  '_0',
  '_1',
  '/noisy',
  '.constant',
  '_output_0',
  '.table',
  '.folded',
  '.pads',
  '.transposed',
  '.zero_point',
  '_quantized',
  ':0',
];

/** A name that nothing bears yet; often one that a made-up name would collide with. */
export function freshName(rng: Rng, taken: ReadonlySet<string>, near?: string): string {
  for (;;) {
    const kind = rng.next();
    const base = near ?? (taken.size > 0 ? pick(rng, [...taken]) : 'x');
    const name =
      kind < 0.15
        ? pick(rng, odd)
        : kind < 0.45
          ? base + pick(rng, endings)
          : `${pick(rng, ['v', 'x', 'conv', 'node_'])}${randomInt(rng, 100)}`;
    if (!taken.has(name) && name.length < 60) return name;
  }
}
