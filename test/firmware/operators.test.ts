import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { Reference } from '../../firmware-bridge/compiler/index.js';
import { groupCases } from './group-cases.js';
import { operatorCases } from './operator-cases.js';
import type { ProgramCase } from './program-case.js';
import {
  buildForCore,
  buildNative,
  cores,
  missingForCores,
  type Outcome,
  runNative,
  runOnCore,
} from './runtime-driver.js';

/** Every operator and every fused form against plain integer arithmetic, on the host under sanitizers and on each core's own kernels. */
const perOperator = 60;
/** Compilers are slow on a busy machine; the runner of all tests has a limit of its own. */
t.setTimeout(0);
const generators = { ...operatorCases, ...groupCases };

function judge(t: Test, cases: readonly ProgramCase[], outcomes: readonly Outcome[]): void {
  const wrong: string[] = [];
  cases.forEach((c, i) => {
    const o = outcomes[i] as Outcome;
    if (o.checkError !== 0 || o.runError !== 0)
      wrong.push(`${c.name}: check ${o.checkError}, run ${o.runError}`);
    else if (!o.guardsWhole) wrong.push(`${c.name}: wrote beside the arena`);
    for (const { at, bytes } of c.expected) {
      const found = o.arena.subarray(at, at + bytes.length);
      const first = bytes.findIndex((value, j) => value !== found[j]);
      if (first >= 0 && o.checkError === 0)
        wrong.push(`${c.name}: [${first}] is ${found[first]}, not ${bytes[first]}`);
    }
  });
  t.same(wrong.slice(0, 5), [], `${cases.length} cases, ${wrong.length} wrong`);
}

const unrun = {
  checkError: 0,
  checkIndex: 0,
  runError: 0,
  runIndex: 0,
  asks: 0,
  operatorsDone: 0,
  guardsWhole: true,
} as const;

const casesFor = (layout: 'scalar' | 'dsp' | 'mve', seed: number): [string, ProgramCase[]][] =>
  Object.entries(generators).map(([name, generate], i) => {
    const rng = Xoshiro128.fromSeed(seed + i);
    return [name, Array.from({ length: perOperator }, () => generate(rng, layout))];
  });

t.test('on the host, under sanitizers', { timeout: 0 }, async (t) => {
  const native = buildNative();
  for (const [name, cases] of casesFor('scalar', 1))
    t.test(name, async (t) => judge(t, cases, runNative(native, cases)));
});

t.test('by the integer reference, from the same bytes', async (t) => {
  for (const layout of ['scalar', 'dsp', 'mve'] as const) {
    const cases = casesFor(layout, 21).flatMap(([, list]) => list.slice(0, 20));
    const outcomes = cases.map((c): Outcome => {
      const reference = new Reference(c.program);
      reference.arena.set(new Int8Array(c.arena.buffer, c.arena.byteOffset, c.arena.length));
      reference.run(new Int8Array(c.input.buffer, c.input.byteOffset, c.input.length));
      return { ...unrun, arena: reference.arena };
    });
    judge(t, cases, outcomes);
  }
});

t.test('on each core', { timeout: 0, skip: missingForCores() && `needs ${missingForCores()}` }, async (t) => {
  for (const [name, core] of Object.entries(cores)) {
    t.test(name, async (t) => {
      const elf = buildForCore(name, core);
      const cases = casesFor(core.layout as 'scalar' | 'dsp' | 'mve', 7).flatMap(([, list]) => list);
      judge(t, cases, runOnCore(elf, core, cases));
    });
  }
});
