import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Graph } from '../../daemon/network/graph.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import {
  type CompiledNetwork,
  type CompileOptions,
  type CompilerBoard,
  compile,
} from '../../firmware-bridge/compiler/index.js';
import type { ProgramCase } from '../firmware/program-case.js';
import {
  buildForCore,
  buildNative,
  type Core,
  cores,
  missingForCores,
  type Outcome,
  runNative,
  runOnCore,
} from '../firmware/runtime-driver.js';
import { answer, compiledCase, randomInput } from './compiled-case.js';
import {
  bordered,
  interpolated,
  linearAttention,
  mixedConvolutions,
  paddedPatches,
  projected,
  recurrent,
  resampled,
  sequences,
  severalPorts,
  sharedHeads,
  tokens,
  transformed,
  upsampled,
} from './networks.js';

/** One network, one input: the same output for every memory plan, on the reference and on every core. */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const board: CompilerBoard = {
  weightLayout: 'scalar',
  arenaBytes: 2 ** 20,
  flashBytes: 2 ** 22,
  weightsAt: 'flash',
  poolBytes: 65_536,
  fetchesInput: true,
};

function sampled(space: string, seed: number): Graph {
  const file = JSON.parse(readFileSync(join(root, 'profiles/spaces', `${space}.json`), 'utf8'));
  const made = loadSpace(file);
  return made.network(made.sample(Xoshiro128.fromSeed(seed)));
}

const networks: readonly (readonly [string, Graph])[] = [
  ...[1, 2, 3].map((seed) => [`convolutions ${seed}`, mixedConvolutions(seed)] as const),
  ...[1, 2, 3].map((seed) => [`tokens ${seed}`, tokens(seed)] as const),
  ...[1, 2, 3].map((seed) => [`patches ${seed}`, paddedPatches(seed)] as const),
  ...[1, 2].map((seed) => [`resampled ${seed}`, resampled(seed)] as const),
  ...[1, 2].map((seed) => [`sequences ${seed}`, sequences(seed)] as const),
  ...[1, 2].map((seed) => [`shared heads ${seed}`, sharedHeads(seed)] as const),
  ...[1, 2].map((seed) => [`linear attention ${seed}`, linearAttention(seed)] as const),
  ...[1, 2].map((seed) => [`transformed ${seed}`, transformed(seed)] as const),
  ...[1, 2].map((seed) => [`upsampled ${seed}`, upsampled(seed)] as const),
  ...[1, 2].map((seed) => [`bordered ${seed}`, bordered(seed)] as const),
  ...[1, 2].map((seed) => [`interpolated ${seed}`, interpolated(seed)] as const),
  ...[1, 2].map((seed) => [`several ports ${seed}`, severalPorts(seed)] as const),
  ...[1, 2, 3].map((seed) => [`projected ${seed}`, projected(seed)] as const),
  ...[1, 2].map((seed) => [`recurrent ${seed}`, recurrent(seed)] as const),
  ['mbconv-fmnist', sampled('mbconv-fmnist', 5)],
  ['vit-fmnist', sampled('vit-fmnist', 5)],
  ['hourglass-mlp', sampled('hourglass-mlp', 5)],
];

/** Those of which the board generates weights, unless it is told to store them. */
const hasSeeds = (name: string): boolean => /^(projected|hourglass)/.test(name);

const smallest: Pick<CompileOptions, 'goal' | 'tricks' | 'weights'> = {
  goal: 'smallest',
  tricks: 'all',
  weights: 'real',
};
const variants: Readonly<Record<string, Partial<CompileOptions>>> = {
  plain: { tricks: 'none', goal: 'fit' },
  overwriting: { tricks: { integration: false, patchRows: false, rowBlocks: false } },
  'patch rows': { tricks: { integration: false, overwriting: false, rowBlocks: false } },
  integration: { tricks: { patchRows: false, overwriting: false, rowBlocks: false } },
  'row blocks': { tricks: { patchRows: false, overwriting: false, integration: false } },
  all: {},
  'wide tiles': { goal: 'fit' },
  stored: { tricks: { generatedWeights: false } },
  'no fetch': { board: { ...board, fetchesInput: false } },
  external: { board: { ...board, weightsAt: 'external', tileBytes: 256 } },
};

const build = (graph: Graph, variant: Partial<CompileOptions>): Promise<CompiledNetwork> =>
  compile(graph, { board, ...smallest, ...variant });

const inputFor = ({ program }: CompiledNetwork): Int8Array =>
  randomInput(Xoshiro128.fromSeed(4), new DataView(program.buffer).getUint32(36, true));

for (const [name, graph] of networks) {
  t.test(`${name}: tricks change memory, never results`, async (t) => {
    const plain = await build(graph, variants.plain as Partial<CompileOptions>);
    const expected = answer(plain, inputFor(plain));
    t.ok(new Set(expected).size > 1, 'the output says something');
    for (const [variant, options] of Object.entries(variants)) {
      const compiled = await build(graph, options);
      t.same(answer(compiled, inputFor(compiled)), expected, variant);
      t.ok(compiled.arenaBytes >= compiled.boundBytes, `${variant}: no plan is below its bound`);
      const isGenerated = compiled.tricks.generatedWeights;
      t.equal(
        isGenerated,
        hasSeeds(name) && variant !== 'plain' && variant !== 'stored',
        `${variant}: generated only where wanted`,
      );
      if (isGenerated) {
        t.ok(compiled.flashBytes < plain.flashBytes, `${variant}: less flash`);
        continue;
      }
      if (variant !== 'external' && variant !== 'wide tiles')
        t.ok(compiled.arenaBytes <= plain.arenaBytes, `${variant}: no larger than the plain plan`);
    }
  });
}

async function casesFor(
  layout: CompilerBoard['weightLayout'],
  chosen: typeof networks = networks,
): Promise<ProgramCase[]> {
  const cases: ProgramCase[] = [];
  for (const [name, graph] of chosen) {
    const named: [string, Partial<CompileOptions>][] = [
      ['plain', variants.plain as Partial<CompileOptions>],
      ['all', {}],
      ['external', { board: { ...board, weightLayout: layout, weightsAt: 'external', tileBytes: 512 } }],
      ['pool', { weights: 'pool' }],
      ['wide tiles', { goal: 'fit' }],
      ['stored', { tricks: { generatedWeights: false } }],
    ];
    for (const [variant, options] of named) {
      const compiled = await build(graph, { board: { ...board, weightLayout: layout }, ...options });
      if (['wide tiles', 'stored'].includes(variant) && !hasSeeds(name)) continue;
      cases.push(compiledCase(`${name}, ${variant}`, compiled, inputFor(compiled)));
    }
  }
  return cases;
}

function judge(cases: readonly ProgramCase[], outcomes: readonly Outcome[]): string[] {
  return cases.flatMap((c, i) => {
    const { checkError, checkIndex, runError, guardsWhole, arena } = outcomes[i] as Outcome;
    if (checkError || runError) return [`${c.name}: check ${checkError} at ${checkIndex}, run ${runError}`];
    if (!guardsWhole) return [`${c.name}: wrote beside its arena`];
    const { at, bytes } = c.expected[0] as { at: number; bytes: Int8Array };
    return bytes.every((value, j) => value === arena[at + j]) ? [] : [`${c.name}: another output`];
  });
}

t.test('the C runtime on the host gives the reference’s output', async (t) => {
  const cases = await casesFor('scalar');
  t.same(judge(cases, runNative(buildNative(), cases)), []);
});

t.setTimeout(900_000);

t.test(
  'so does a core of each kind',
  { skip: missingForCores() && `needs ${missingForCores()}` },
  async (t) => {
    // One of each kind: an emulated core is slow, and its kernels are tested one by one elsewhere.
    const few = networks.filter(([name]) => name.endsWith(' 1'));
    for (const name of ['m0plus', 'm4', 'm55']) {
      const core = cores[name] as Core;
      const cases = await casesFor(core.layout, few);
      t.same(judge(cases, runOnCore(buildForCore(name, core), core, cases)), [], name);
    }
  },
);
