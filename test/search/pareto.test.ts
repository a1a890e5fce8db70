import fc from 'fast-check';
import t from 'tap';
import { dominates, nondominatedRanks, type Rating } from '../../daemon/search/pareto/dominance.js';
import { hypervolume, hypervolumeGain } from '../../daemon/search/pareto/hypervolume.js';
import { ParetoFront } from '../../daemon/search/pareto/pareto-front.js';

const points = (dimensions: number): fc.Arbitrary<number[][]> =>
  fc.array(fc.array(fc.integer({ min: 0, max: 6 }), { minLength: dimensions, maxLength: dimensions }), {
    maxLength: 9,
  });

/** Counts the unit cells below the reference that some point dominates. */
function cells(list: readonly number[][], size: number, dimensions: number): number {
  let count = 0;
  for (let code = 0; code < size ** dimensions; code++) {
    const cell = Array.from({ length: dimensions }, (_, d) => Math.floor(code / size ** d) % size);
    if (list.some((point) => point.every((value, d) => value <= (cell[d] as number)))) count++;
  }
  return count;
}

t.test('hypervolume equals the count of dominated cells', async (t) => {
  for (const dimensions of [1, 2, 3, 4]) {
    const reference = Array.from({ length: dimensions }, () => 5);
    fc.assert(
      fc.property(points(dimensions), (list) => hypervolume(list, reference) === cells(list, 5, dimensions)),
    );
  }
  t.equal(hypervolume([], [1, 1]), 0);
  t.equal(hypervolume([[1, 0]], [1, 1]), 0, 'a point on the edge of the reference adds nothing');
});

t.test('a gain is the hypervolume with the point less that without', async (t) => {
  for (const dimensions of [1, 2, 3, 4]) {
    const reference = Array.from({ length: dimensions }, () => 5);
    const point = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: dimensions, maxLength: dimensions });
    fc.assert(
      fc.property(points(dimensions), point, (list, one) => {
        const gain = hypervolumeGain(list, reference)(one);
        t.equal(gain, hypervolume([...list, one], reference) - hypervolume(list, reference));
      }),
    );
  }
});

t.test('the incremental front equals the brute-force one', async (t) => {
  fc.assert(
    fc.property(points(3), (list) => {
      const front = new ParetoFront<number>();
      let size = 0;
      list.forEach((point, i) => {
        const { added, removed } = front.add(point, i);
        size += (added ? 1 : 0) - removed.length;
      });
      const expected = list.filter((point) => !list.some((other) => dominates(other, point))).map(String);
      t.equal(front.members.length, size);
      t.same(front.members.map(({ point }) => String(point)).sort(), [...new Set(expected)].sort());
    }),
  );
  t.equal(new ParetoFront<undefined>().add([Number.NaN, 1], undefined).added, false);
});

/** Constrained domination by its definition: feasible first, then the smaller violation, then Pareto. */
const beats = (a: Rating, b: Rating): boolean =>
  a.violation === b.violation ? a.violation === 0 && dominates(a.costs, b.costs) : a.violation < b.violation;

t.test('a rank is one more than the worst rank of those that beat it; violations come after', async (t) => {
  const rated = (dimensions: number): fc.Arbitrary<Rating[]> =>
    fc.array(
      fc.record({
        costs: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: dimensions, maxLength: dimensions }),
        violation: fc.constantFrom(0, 0, 0, 0.5, 2, Number.POSITIVE_INFINITY),
      }),
      { maxLength: 14 },
    );
  for (const dimensions of [1, 2, 3])
    fc.assert(
      fc.property(rated(dimensions), (list) => {
        const rankOf = nondominatedRanks(list);
        list.forEach((item, i) => {
          const above = list.flatMap((other, j) => (beats(other, item) ? [rankOf[j] as number] : []));
          t.equal(rankOf[i], 1 + Math.max(-1, ...above));
        });
      }),
    );
});
