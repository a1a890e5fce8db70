import t from 'tap';
import { allTargets, fuzzTarget } from './fuzz-all.js';

/** A short run of `bench fuzz`: a hundred thousand inputs, most of them where they are cheap. */
t.setTimeout(2_400_000);
const counts: Readonly<Record<string, number>> = {
  onnx: 400,
  tflite: 800,
  arrays: 500,
  yaml: 1200,
  spaces: 250,
  tables: 2500,
  frames: 20_000,
  board: 600,
  'ws-page': 80,
  'ws-agent': 80,
  http: 120,
  'c-frames': 60_000,
  'c-session': 7000,
  'c-programs': 9000,
};

t.test(
  'readers of what others wrote end with an error of ours, in time and within their memory',
  async (t) => {
    let inputs = 0;
    for (const target of allTargets) {
      const outcome = await fuzzTarget(target, { seed: 1, inputs: counts[target] ?? 100, guided: false });
      inputs += outcome.inputs;
      // How long an input takes says more of the machine than of the reader here; the bench counts it.
      const findings = outcome.findings.filter((finding) => !/^\S+: slow: /.test(finding));
      t.same(findings, [], target);
      t.match(outcome, { crashes: 0, untyped: 0, overMemory: 0 }, target);
    }
    t.ok(inputs >= 100_000, `${inputs} inputs`);
  },
);
