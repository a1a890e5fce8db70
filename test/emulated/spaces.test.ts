import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import {
  type BoardProfile,
  loadBoardProfiles,
  profilesFolder,
} from '../../daemon/devices/mcu/board-profile.js';
import { signsName } from '../../daemon/network/generated-signs.js';
import { elementCount } from '../../daemon/network/graph.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { findSpace } from '../../daemon/study/parts.js';
import { openSpace } from '../../daemon/train/open-space.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { answersAsReference, openBoard } from './open-board.js';

t.setTimeout(900_000);
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;

/** Spaces that no board here holds, or whose networks say themselves what is int8 (docs/spaces.md). */
const elsewhere = new Set([
  'mbconv-96',
  'mbconv-fmnist-formats',
  'mcuformer-tiny',
  'nasbench201',
  'ofa-mobilenetv3',
  'proxylessnas-imagenet',
]);
const open = (name: string): Space => openSpace(findSpace(name, profilesFolder), profilesFolder);
const spaces = readdirSync(join(profilesFolder, 'spaces'))
  .map((file) => file.slice(0, -'.json'.length))
  .filter((name) => !elsewhere.has(name));

/** Of twenty drawn, the seeds among them, the one with the fewest multiply-accumulates: boards are emulated slowly. */
function cheapest(space: Space): Architecture {
  const rng = Xoshiro128.fromSeed(5);
  const drawn = [...(space.seeds?.() ?? []), ...Array.from({ length: 20 }, () => space.sample(rng))];
  const macs = (a: Architecture): number => space.stats(a).macs;
  // A grammar draws what computes nothing, too.
  const working = drawn.filter((a) => macs(a) > 0);
  return working.reduce((best, a) => (macs(a) < macs(best) ? a : best));
}

/** Kinds of attention that differ from others in numbers of heads alone: an upload of 40 kB each, and no operator more. */
const alike = new Set<number | string>(['gqa', 'mqa', 'sqa']);

/** Architectures with each choice of a decision in turn, all else as cheap as it gets. Some leave no network. */
function eachChoice(space: Space, decision: string): (readonly [string, Architecture])[] {
  const at = space.dims?.findIndex(({ name }) => name === decision) ?? -1;
  const from = cheapest(space) as readonly number[];
  return (space.dims?.[at]?.choices ?? []).flatMap((choice, i) => {
    if (alike.has(choice)) return [];
    try {
      return [[String(choice), space.normalise(from.with(at, i))] as const];
    } catch (thrown) {
      if (asHildaError(thrown).code !== 'ARCHITECTURE_INVALID') throw thrown;
      return [];
    }
  });
}

const board = (name: string): BoardProfile => loadBoardProfiles().get(name) as BoardProfile;

/** Decisions whose every choice an M4 runs: each space's cheapest network is one of those networks. */
const decisions: Readonly<Record<string, string>> = {
  'attention-family': 'layer1.attention',
  'flexibert-mini': 'layer1.operation',
  'lowformer-mini': 'stage2.block1.attention',
  'ascan-mini': 'stage2.block1',
  'linear-recurrence': 'layer1.rule',
  'yfork-mini': 'fork',
  'nasbench201-mcu': '0>3',
};

t.test('rp2040-pico: a network of every space that is small enough', async (t) => {
  const session = await openBoard('rp2040-pico');
  t.teardown(() => session.close());
  t.ok(spaces.length >= 14, `${spaces}`);
  for (const id of spaces) {
    const space = open(id);
    const network = space.network(cheapest(space), randomWeights);
    await answersAsReference(t, session, board('rp2040-pico'), { name: id, network });
  }
});

t.test('an M4: the same spaces, and every kind of layer they choose among', { skip: noQemu }, async (t) => {
  const session = await openBoard('mps2-an386');
  t.teardown(() => session.close());
  t.same(
    Object.keys(decisions).filter((id) => !spaces.includes(id)),
    [],
  );
  for (const id of spaces) {
    const space = open(id);
    const decision = decisions[id];
    const choices = decision ? eachChoice(space, decision) : [['cheapest', cheapest(space)] as const];
    t.ok(!decision || choices.length >= 2, `${id} ${decision}`);
    for (const [choice, architecture] of choices) {
      const network = space.network(architecture, randomWeights);
      await answersAsReference(t, session, board('mps2-an386'), { name: `${id} ${choice}`, network });
    }
  }
});

// On one core with stored weights, too: both give the same answers, by the reference that both are held to.
t.test('rp2040-pico: the projection of an hourglass takes no flash', async (t) => {
  const session = await openBoard('rp2040-pico');
  t.teardown(() => session.close());
  const space = open('hourglass-mlp');
  for (const architecture of space.seeds?.() ?? []) {
    const network = space.network(architecture, randomWeights);
    const flashBytes = async (tricks: { readonly generatedWeights?: false }): Promise<number> =>
      (
        await answersAsReference(
          t,
          session,
          board('rp2040-pico'),
          { name: `${architecture}`, network },
          tricks,
        )
      ).flashBytes;
    const generated = await flashBytes({});
    const stored = await flashBytes({ generatedWeights: false });
    const weights = elementCount(network.initializers.get(signsName(1))?.dims ?? []);
    t.ok(weights >= 784 * 128, `${weights} weights`);
    // Four records stand for them.
    t.equal(stored - generated, weights - 3 * 96, `${generated} instead of ${stored} bytes`);
  }
});

for (const name of ['mps2-an385', 'mps2-an500', 'mps3-an547'])
  t.test(`${name}: the projection of an hourglass is generated alike`, { skip: noQemu }, async (t) => {
    const session = await openBoard(name);
    t.teardown(() => session.close());
    const space = open('hourglass-mlp');
    const network = space.network(cheapest(space), randomWeights);
    const { flashBytes } = await answersAsReference(t, session, board(name), { name: 'hourglass', network });
    t.ok(flashBytes < 784 * 128, `${flashBytes} bytes`);
  });
