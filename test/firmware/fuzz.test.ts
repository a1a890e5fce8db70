import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import {
  abi,
  code,
  headerBytes,
  recordBytes,
  reference,
} from '../../firmware-bridge/compiler/layout/format.js';
import { groupCases } from './group-cases.js';
import { operatorCases } from './operator-cases.js';
import { CaseBuilder, type ProgramCase } from './program-case.js';
import { recurrentCases } from './recurrent-cases.js';
import { buildNative, fuzzNative, type Outcome, runNative } from './runtime-driver.js';

/**
 * No byte sequence may write outside the arena, read outside its memory, or run for good. The native build runs under
 * AddressSanitizer and UndefinedBehaviorSanitizer, with every block allocated to the byte. HILDA_FUZZ_ROUNDS makes the
 * run longer (scripts/fuzz-programs.sh).
 */
const rounds = Number(process.env.HILDA_FUZZ_ROUNDS ?? 40_000);
/** Long runs take their time; the runner of all tests has a limit of its own. */
t.setTimeout(0);
const native = buildNative();
const rng = Xoshiro128.fromSeed(99);

t.test('mutated programs', { timeout: 0 }, async (t) => {
  const small = (c: ProgramCase): boolean => c.arena.length < 4000;
  const seeds = Object.values({ ...operatorCases, ...groupCases, ...recurrentCases }).flatMap((generate) =>
    Array.from({ length: 30 }, () => generate(rng, 'scalar'))
      .filter(small)
      .slice(0, 7),
  );
  t.ok(seeds.length > 100 && seeds.length <= 256, `${seeds.length} programs to start from`);
  const told = fuzzNative(native, seeds, Number(process.env.HILDA_FUZZ_SEED ?? 1), rounds);
  const passed = Number(told.split(' ')[0]);
  // Were none to pass, the runs would prove nothing; were all to pass, the check would not check.
  t.ok(passed > rounds / 50 && passed < rounds * 0.9, told.trim());
});

/** What is changed in a valid program, and the error it must give (ABI.md, "Errors"). */
type Damage = readonly [what: string, error: number, change: (view: DataView, c: ProgramCase) => unknown];
const field = (offset: number, record = 0): number => headerBytes + record * recordBytes + offset;
const put8 = (offset: number, value: number) => (view: DataView) => view.setUint8(offset, value);
const put32 = (offset: number, value: number) => (view: DataView) => view.setUint32(offset, value, true);
const add32 = (offset: number, value: number) => (view: DataView) =>
  view.setUint32(offset, view.getUint32(offset, true) + value, true);

const damages: readonly Damage[] = [
  ['another magic', 1, put32(0, 1)],
  ['more bytes than were sent', 1, add32(8, 1)],
  ['constants beyond the program', 1, add32(20, 16)],
  ['constants over the records', 1, put32(16, 64)],
  ['a truncated program', 1, (_, c) => ({ program: c.program.subarray(0, c.program.length - 1) })],
  ['a header alone, cut short', 1, (_, c) => ({ program: c.program.subarray(0, 63) })],
  ['a former ABI', 2, (view) => view.setUint16(4, abi - 1, true)],
  ['records of another size', 2, (view) => view.setUint16(6, 64, true)],
  ['one byte more arena than there is', 3, add32(24, 1)],
  ['a pool where there is none', 4, put32(28, 1)],
  ['no operators', 5, put32(12, 0)],
  ['2^31 operators', 5, put32(12, 2 ** 31)],
  ['an unknown operator', 6, put8(field(0), 99)],
  ['an unknown flag', 6, put8(field(1), 0x80)],
  ['an input beyond the arena', 7, put32(field(12), 0x3fffffff)],
  ['an output one byte beyond the arena', 7, (view, c) => view.setUint32(field(20), c.arena.length, true)],
  ['weights beyond the constants', 7, put32(field(24), 0x7ffffff0)],
  ['an output of the network beyond the arena', 7, put32(44, 0xffffffff)],
  ['an output among the constants', 8, put32(field(20), 0x40000000)],
  ['an unknown space', 8, put32(field(12), 0xc0000000)],
  ['no weights', 8, put32(field(24), 0xffffffff)],
  ['a bias that is not aligned', 9, add32(field(28), 2)],
  ['no rows', 10, put32(field(64), 0)],
  ['rows that share bytes of the output', 10, put32(field(48), 0)],
  ['a shift beyond 7', 10, put8(field(3), 8)],
  ['a clamp that is empty', 10, (view) => view.setUint16(field(7), 0x8001, true)],
  ['2^21 rows', 11, put32(field(64), 2 ** 21)],
  ["another core's layout", 12, put8(field(2), 3)],
  ['a field that is not used', 13, put32(field(84), 1)],
  ['a step outside a group', 13, put32(field(52), 4)],
  ['a reserved byte', 13, put8(field(9), 1)],
  ['a reserved word of the header', 13, put32(48, 1)],
];

const groupDamages: readonly Damage[] = [
  ['a group beyond the last record', 14, (view) => view.setUint16(field(10), 50, true)],
  ['a group that holds itself', 14, (view) => view.setUint16(field(10), 0, true)],
  ['a group in a group', 14, put8(field(0, 1), code.loop)],
  ['iterations that leave the arena', 7, put32(field(64), 1000)],
  ['a step that leaves the arena', 7, put32(field(60, 2), -1_000_000)],
  ['2^31 iterations', 11, put32(field(64), 2 ** 31)],
];

const generateDamages: readonly Damage[] = [
  ['an input where nothing is read', 13, put32(field(12), 0)],
  ['a stride of what has no rows', 13, put32(field(48), 4)],
  ['a step outside a group', 13, put32(field(52), 1)],
  ['weights of its own', 13, put32(field(24), 0)],
  ['a flag', 6, put8(field(1), 1)],
  ['nowhere to go', 8, put32(field(20), 0xffffffff)],
  ['an output among the constants', 8, put32(field(20), 0x40000000)],
  ['an output beside a word', 9, add32(field(20), 2)],
  ['an output one word beyond the arena', 7, add32(field(20), 4)],
  ['one block of outputs too many', 7, add32(field(72), 4)],
  ['four inputs too many', 7, add32(field(68), 4)],
  ['two rows', 10, put32(field(64), 2)],
  ['no inputs', 10, put32(field(68), 0)],
  ['2^16 outputs', 11, put32(field(72), 2 ** 16)],
  ["another core's layout", 12, put8(field(2), 3)],
];

/** Of the cell of an LSTM that writes its state a second time. */
const cellDamages: readonly Damage[] = [
  ['two rows', 10, put32(field(64), 2)],
  ['a state among the outputs', 10, put32(field(48), 0)],
  ['a state beyond the arena', 7, put32(field(48), 2 ** 20)],
  ['more units than lie before the state', 10, put32(field(72), 2 ** 15)],
  ['gates beyond the arena', 7, put32(field(12), 0x3ffffff0)],
  ['tables beyond the constants', 7, put32(field(24), 0x7ffffff0)],
  ['no tables', 8, put32(field(24), 0xffffffff)],
  ['a shift beyond 7', 10, put8(field(3), 8)],
  ['inputs of its own', 13, put32(field(68), 4)],
  ['a flag', 6, put8(field(1), 8)],
];

/** Of a walk over steps: LOOP, COPY, LINEAR, LSTM_CELL, COPY. */
const stepDamages: readonly Damage[] = [
  ['steps that leave the input', 7, put32(field(52, 1), 2 ** 20)],
  ['steps backwards out of the output', 7, put32(field(60, 4), -(2 ** 20))],
  ['a state that moves on out of the arena', 7, put32(field(60, 3), 2 ** 20)],
  ['wide columns of rows', 10, (view) => void view.setUint32(field(80, 2), 4, true)],
];

/** Of the walk over generated tiles: LOOP, GENERATE, COPY, LINEAR. */
const tileDamages: readonly Damage[] = [
  ['a step beside a word', 9, put32(field(60, 1), 2)],
  ['a step that leaves the arena', 7, put32(field(60, 1), 1_000_000)],
  ['constants that the walk runs out of', 7, add32(field(64), 1)],
  ['channels beyond the arena', 7, put32(field(60, 3), 1_000_000)],
];

function judge(t: Test, valid: ProgramCase, list: readonly Damage[]): void {
  const cases = list.map(([name, , change]): ProgramCase => {
    const program = valid.program.slice();
    const changed = change(new DataView(program.buffer), { ...valid, program });
    return { ...valid, program, ...(changed as Partial<ProgramCase> | undefined), name };
  });
  const outcomes = runNative(native, cases);
  list.forEach(([what, error], i) => {
    const { checkError, guardsWhole } = outcomes[i] as Outcome;
    t.equal(checkError, error, what);
    t.ok(guardsWhole);
  });
}

t.test('each fault has its own error', async (t) => {
  const find = (name: keyof typeof operatorCases, fits: (c: ProgramCase) => boolean): ProgramCase => {
    for (;;) {
      const c = operatorCases[name]?.(rng, 'scalar');
      if (c && fits(c)) return c;
    }
  };
  const several = (c: ProgramCase): boolean => /linear scalar [2-9]x\d+x[2-9]+$/.test(c.name);
  judge(t, find('linear', several), damages);
  judge(
    t,
    find('generate', (c) => c.name.startsWith('generate scalar')),
    generateDamages,
  );
  const tiled = groupCases.generatedTiles;
  let walk = tiled?.(rng, 'scalar');
  while (!walk || new DataView(walk.program.buffer).getUint32(field(64), true) < 3)
    walk = tiled?.(rng, 'scalar');
  judge(t, walk, tileDamages);
  const found = (name: string, fits: (c: ProgramCase) => boolean): ProgramCase => {
    for (;;) {
      const c = recurrentCases[name]?.(rng, 'scalar');
      if (c && fits(c)) return c;
    }
  };
  judge(
    t,
    found('lstmCell', (c) => c.name.endsWith('with its state')),
    cellDamages,
  );
  judge(
    t,
    found('recurrentLayer', (c) => /layer [3-6]x/.test(c.name) && !c.name.endsWith('backwards')),
    stepDamages,
  );
  const overwriting = groupCases.overwriting;
  let group = overwriting?.(rng, 'scalar');
  while (!group || new DataView(group.program.buffer).getUint32(field(64), true) < 3)
    group = overwriting?.(rng, 'scalar');
  judge(t, group, groupDamages);
});

t.test('a run can be stopped, and may lack its input', async (t) => {
  const long = operatorCases.linear?.(rng, 'scalar') as ProgramCase;
  const fetching = operatorCases.fetch?.(rng, 'scalar') as ProgramCase;
  // More than is made between two questions: it is stopped inside, not before.
  const weights = new CaseBuilder();
  const sides = { k: 512, n: 64 };
  const out = reference('arena', weights.reserve(sides.k * sides.n));
  weights.record({ code: code.generate, layout: 1, out, rows: { rows: 1, ...sides } });
  const [stopped, starved, generating] = runNative(native, [
    { ...long, patience: 1 },
    { ...fetching, input: fetching.input.subarray(0, 0) },
    weights.build('generate', 2),
  ]);
  for (const index of [3, -4, 2 ** 31 - 1, -(2 ** 31)]) {
    const outside = new CaseBuilder();
    const at = outside.reserve(4);
    outside.fill(at, new Int8Array(Int32Array.of(index).buffer));
    const weights = outside.constant(new Int8Array(6));
    const to = reference('arena', outside.reserve(2));
    const sizes = { rows: 1, k: 3, n: 2 };
    outside.record({
      code: code.gather,
      in: reference('arena', at),
      inStride: 4,
      weights,
      out: to,
      outStride: 2,
      rows: sizes,
    });
    const [ended] = runNative(native, [outside.build(`index ${index}`)]);
    t.match(ended, { checkError: 0, runError: 18 }, `index ${index} of 3`);
  }
  t.equal(stopped?.runError, 16, 'cancelled');
  t.equal(starved?.runError, 17, 'no input');
  t.match(generating, { runError: 16, asks: 2 }, 'cancelled among its outputs');
});
