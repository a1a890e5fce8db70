import fc from 'fast-check';
import t from 'tap';
import { liveBound, type Overlap, place, type Request } from '../../firmware-bridge/compiler/plan/place.js';

const request = fc
  .record({ first: fc.nat(8), length: fc.nat(4), blocks: fc.integer({ min: 1, max: 20 }) })
  .map(({ first, length, blocks }): Request => ({ first, last: first + length, bytes: 16 * blocks }));

/** Pairs whose lives meet in one step: the later may overwrite the earlier from some distance on. */
function overlapsAmong(requests: readonly Request[], distances: readonly number[]): Overlap[] {
  return requests.flatMap((a, from) =>
    requests.flatMap((b, to): Overlap[] =>
      a.last === b.first && a.first < b.first && b.last > a.last
        ? [{ from, to, distance: distances[(from + to) % distances.length] as number }]
        : [],
    ),
  );
}

/** What is wrong with a placement; empty where nothing is. */
function faults(
  requests: readonly Request[],
  overlaps: readonly Overlap[],
  offsets: readonly number[],
): string[] {
  return requests.flatMap((a, i) =>
    requests.flatMap((b, j): string[] => {
      const [x, y] = [offsets[i] as number, offsets[j] as number];
      const meet = a.first <= b.last && b.first <= a.last;
      const apart = x + a.bytes <= y || y + b.bytes <= x;
      if (i === j || !meet || apart) return [];
      const allowed = overlaps.find(({ from, to }) => (from === i && to === j) || (from === j && to === i));
      if (allowed && (offsets[allowed.to] as number) <= (offsets[allowed.from] as number) - allowed.distance)
        return [];
      return [`${i} at ${x} and ${j} at ${y}`];
    }),
  );
}

t.test('a placement never lets two live tensors share a byte, but where overwriting is proven', async (t) => {
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 14 }),
      fc.array(fc.integer({ min: -64, max: 200 }), { minLength: 1, maxLength: 5 }),
      (requests, distances) => {
        const overlaps = overlapsAmong(requests, distances);
        const { offsets, bytes } = place(requests, overlaps, { rounds: 40 });
        const end = Math.max(...requests.map((r, i) => (offsets[i] as number) + r.bytes));
        return (
          faults(requests, overlaps, offsets).length === 0 &&
          bytes === end &&
          offsets.every((offset) => offset % 16 === 0) &&
          bytes >= liveBound(requests, overlaps).bytes
        );
      },
    ),
    { numRuns: 300 },
  );
  t.pass('300 programs');
});

t.test('small programs are placed as tightly as can be', async (t) => {
  // Every offset that a tightest packing can have is a sum of some sizes: tried one and all.
  const tightest = (requests: readonly Request[]): number => {
    const sums = new Set([0]);
    for (const { bytes } of requests) for (const sum of [...sums]) sums.add(sum + bytes);
    let best = Number.POSITIVE_INFINITY;
    const choose = (offsets: number[]): void => {
      const end = Math.max(0, ...offsets.map((o, i) => o + (requests[i] as Request).bytes));
      if (end >= best || faults(requests.slice(0, offsets.length), [], offsets).length > 0) return;
      if (offsets.length === requests.length) best = end;
      else for (const sum of sums) choose([...offsets, sum]);
    };
    choose([]);
    return best;
  };
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 4 }),
      (requests) => place(requests, []).bytes === tightest(requests),
    ),
    { numRuns: 60 },
  );
  t.pass('60 programs');
});

t.test('a chain of outputs, each a little below its input, needs little more than one of them', async (t) => {
  const requests = Array.from({ length: 8 }, (_, i): Request => ({ first: i, last: i + 1, bytes: 1600 }));
  const overlaps = requests.slice(1).map((_, i): Overlap => ({ from: i, to: i + 1, distance: 32 }));
  t.equal(place(requests, overlaps).bytes, 1600 + 7 * 32);
  t.equal(liveBound(requests, overlaps).bytes, 1632);
  t.equal(place(requests, []).bytes, 3200, 'without overwriting two live at once');
});
