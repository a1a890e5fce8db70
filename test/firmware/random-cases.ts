import type { Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { groupCases } from './group-cases.js';
import { operatorCases } from './operator-cases.js';
import type { ProgramCase } from './program-case.js';
import { recurrentCases } from './recurrent-cases.js';
import type { Outcome } from './runtime-driver.js';

const perOperator = 60;
const generators = { ...operatorCases, ...groupCases, ...recurrentCases };

/** Whether each case left in the arena what it must, and nothing beside it. */
export function judge(t: Test, cases: readonly ProgramCase[], outcomes: readonly Outcome[]): void {
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

/** Random cases of every operator and every fused form, by name. */
export const casesFor = (layout: 'scalar' | 'dsp' | 'mve', seed: number): [string, ProgramCase[]][] =>
  Object.entries(generators).map(([name, generate], i) => {
    const rng = Xoshiro128.fromSeed(seed + i);
    return [name, Array.from({ length: perOperator }, () => generate(rng, layout))];
  });
