/**
 * `npm run bench -- fuzz [--targets onnx,c-frames,...] [--inputs 1000000] [--c-inputs 10000000] [--seed 1] [--unguided]`: changes
 * files and messages at random and reads them as the daemon and the firmware do. Scripts are guided by V8's block counts,
 * programs in C by gcc's edges, under AddressSanitizer and UndefinedBehaviorSanitizer. Corpora are made by this project.
 *
 * `http` asks the whole API in one process what its OpenAPI document says, changed; `board` is a board whose frames are sound
 * and whose content is a lie; `ws-page` and `ws-agent` are peers that are asked to measure; `c-session` is the firmware but
 * for `main`. Bars, all 0: `crashes` (the process ended), `untyped` (an error without a code of ours, or INTERNAL), `slow` (over
 * 1 s of the processor), `overMemory` (1.5 GiB).
 */
import { parseArgs } from 'node:util';
import { allTargets, fuzzTarget } from '../../test/fuzz/fuzz-all.js';

const { values: flags } = parseArgs({
  options: {
    targets: { type: 'string', default: allTargets.join(',') },
    inputs: { type: 'string', default: '1000000' },
    'c-inputs': { type: 'string', default: '10000000' },
    seed: { type: 'string', default: '1' },
    unguided: { type: 'boolean', default: false },
  },
});
const startMs = performance.now();
const sum = { inputs: 0, crashes: 0, untyped: 0, slow: 0, overMemory: 0 };
const targets: Record<string, unknown> = {};
const chosen = flags.targets.split(',');
for (const target of chosen) {
  // Each of the scripts gets its share.
  const scripts = chosen.filter((name) => !name.startsWith('c-')).length;
  const programs = chosen.length - scripts;
  const share = target.startsWith('c-')
    ? Number(flags['c-inputs']) / programs
    : Number(flags.inputs) / scripts;
  const inputs = Math.ceil(share);
  const { findings, ...figures } = await fuzzTarget(target, {
    seed: Number(flags.seed),
    inputs,
    guided: !flags.unguided,
  });
  for (const finding of findings) console.error(finding);
  console.error(JSON.stringify(figures));
  const { target: _, ...rest } = figures;
  targets[target] = rest;
  for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += figures[name];
}
const seconds = Math.round((performance.now() - startMs) / 1000);
console.log(JSON.stringify({ bench: 'fuzz', figures: { ...sum, targets, seconds } }));
process.exit(sum.crashes + sum.untyped + sum.slow + sum.overMemory > 0 ? 1 : 0);
