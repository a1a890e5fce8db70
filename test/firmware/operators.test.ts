import t from 'tap';
import { Reference } from '../../firmware-bridge/compiler/index.js';
import { casesFor, judge } from './random-cases.js';
import { buildNative, type Outcome, runNative } from './runtime-driver.js';

/**
 * Every operator and every fused form against plain integer arithmetic, on the host under sanitizers. No time-out of its
 * own: compilers are slow on a busy machine.
 */
t.setTimeout(0);

const unrun = {
  checkError: 0,
  checkIndex: 0,
  runError: 0,
  runIndex: 0,
  asks: 0,
  operatorsDone: 0,
  guardsWhole: true,
} as const;

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
