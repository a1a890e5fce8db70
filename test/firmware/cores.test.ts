import t from 'tap';
import { casesFor, judge } from './random-cases.js';
import { buildForCore, cores, missingForCores, runOnCore } from './runtime-driver.js';

/** Every operator and every fused form on each core's own kernels, under QEMU, against plain integer arithmetic. */
t.setTimeout(0);

t.test('on each core', { timeout: 0, skip: missingForCores() && `needs ${missingForCores()}` }, async (t) => {
  for (const [name, core] of Object.entries(cores)) {
    t.test(name, async (t) => {
      const elf = buildForCore(name, core);
      const cases = casesFor(core.layout as 'scalar' | 'dsp' | 'mve', 7).flatMap(([, list]) => list);
      judge(t, cases, runOnCore(elf, core, cases));
    });
  }
});
