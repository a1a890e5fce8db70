import t from 'tap';
import { shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { Search } from '../../daemon/search/ask-tell.js';
import { createSampler } from '../../daemon/search/samplers/registry.js';
import { CellTableSpace } from '../../daemon/search/spaces/nasbench/table.js';

const objectives = [
  { metric: 'gain', goal: 'max' },
  { metric: 'latencyUs', goal: 'min' },
] as const;
const constraints = [{ metric: 'latencyUs', max: 40 }];
const space = new CellTableSpace();

const valuesOf = (architecture: unknown): Record<string, number> => {
  const choices = architecture as readonly number[];
  return {
    gain: choices.reduce((sum, v, i) => sum + v * (i + 1), 0),
    latencyUs: 1 + choices.reduce((sum, v) => sum + v * v, 0),
  };
};

const open = (sampler: string, seed = 3): Search =>
  new Search({ space, sampler: createSampler(sampler), objectives, constraints, seed });

/** Keys of what is proposed; results are told in an order of `mix`. */
function proposals(search: Search, rounds: number, mix: number): string[] {
  const rng = Xoshiro128.fromSeed(mix);
  const keys: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const asked = search.ask(10);
    keys.push(...asked.map(({ architecture }) => JSON.stringify(architecture)));
    for (const { number, architecture } of shuffled(rng, asked)) search.tell(number, valuesOf(architecture));
  }
  return keys;
}

t.test('a search needs no daemon: the same in every order of telling', async (t) => {
  for (const sampler of ['auto', 'linas', 'nsga2', 'regularized-evolution']) {
    const search = open(sampler);
    const first = proposals(search, 6, 1);
    t.equal(new Set(first).size, 60, `${sampler} never repeats itself`);
    t.same(proposals(open(sampler), 6, 2), first, sampler);
    t.notSame(proposals(open(sampler, 4), 6, 1), first, `${sampler}, another seed`);
  }
});

t.test('the front is what no other trial beats, within the limits', async (t) => {
  const search = open('random');
  proposals(search, 30, 1);
  const complete = search.history.filter(({ values }) => (values.latencyUs as number) <= 40);
  t.ok(complete.length > 50 && complete.length < 300, `${complete.length} trials within the limit`);
  const beats = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
    a.gain! >= b.gain! && a.latencyUs! <= b.latencyUs! && (a.gain! > b.gain! || a.latencyUs! < b.latencyUs!);
  const best = complete.filter(({ values }) => !complete.some((other) => beats(other.values, values)));
  const points = (trials: typeof best): string[] =>
    [...new Set(trials.map(({ values }) => `${values.gain} ${values.latencyUs}`))].sort();
  t.same(points([...search.front()]), points(best));
});

t.test('trials that failed, wait or were told', async (t) => {
  const search = open('nsga2');
  const [a, b, c] = search.ask(3);
  t.match(search.tell(c!.number, null), { state: 'failed', values: {} });
  t.match(search.tell(a!.number, { gain: 1, latencyUs: 41 }), { state: 'infeasible' });
  t.throws(() => search.tell(a!.number, { gain: 1, latencyUs: 1 }), { code: 'NOT_FOUND' });
  t.throws(() => search.tell(99, null), { code: 'NOT_FOUND' });
  for (const values of [{ gain: 1 }, { gain: Number.NaN, latencyUs: 1 }, { latencyUs: 1 }])
    t.throws(() => search.tell(b!.number, values as never), { code: 'SPEC_INVALID' });
  const more = search.ask(20).map(({ architecture }) => JSON.stringify(architecture));
  t.notOk(more.includes(JSON.stringify(b!.architecture)), 'what waits is not asked again');
  search.tell(b!.number, { gain: 2, latencyUs: 3 });
  t.same(
    search.front().map(({ number }) => number),
    [b!.number],
  );
  t.throws(() => new Search({ space, sampler: createSampler('random'), objectives: [] }), {
    code: 'SPEC_INVALID',
  });
  const { dims: _, ...dimless } = { ...space, normalise: space.normalise.bind(space) };
  t.throws(() => new Search({ space: dimless as never, sampler: createSampler('mcuformer'), objectives }), {
    code: 'SPEC_INVALID',
    message: /needs dims/,
  });
});
