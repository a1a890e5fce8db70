import fc from 'fast-check';
import t from 'tap';
import type { ArchitectureId, DeviceId, StudyId } from '../../../daemon/core/ids.js';
import type { FrontRow } from '../../../daemon/study/front-rows.js';
import {
  chooseFinalists,
  findFor,
  type SearchFront,
} from '../../../daemon/study/specialisation/finalists.js';

const row = (
  trialNumber: number,
  accuracy: number,
  speed: Record<string, number>,
  id = trialNumber,
): FrontRow => ({
  trialNumber,
  architectureId: `${id}` as ArchitectureId,
  values: { accuracy, ...speed },
  evidence: {},
  beside: [],
  latencyCiUs: {},
  macs: 1,
  parameters: 1,
  provenance: 'measured',
  measurementIds: [],
});

const search = (deviceId: string, speed: SearchFront['speed'], front: readonly FrontRow[]): SearchFront => ({
  deviceId: deviceId as DeviceId,
  study: `study of ${deviceId}` as StudyId,
  speed,
  front,
});

const times = [
  row(0, 0.95, { latencyUs: 90 }),
  row(1, 0.9, { latencyUs: 50 }),
  row(2, 0.88, { latencyUs: 20 }),
];
/** Trial 4 is the network of trial 1 of the other search. */
const counts = [row(3, 0.91, { cycles: 1e6 }), row(4, 0.9, { cycles: 9e5 }, 1), row(5, 0.7, { cycles: 1 })];
const both = [search('a', 'latencyUs', times), search('b', 'cycles', counts)];

t.test('each search sends the fastest of its front within the slack of the least best accuracy', (t) => {
  const sent = (slack: number, most: number): string[] =>
    chooseFinalists(both, { slack, most }).finalists.map(({ architectureId }) => architectureId);
  t.equal(chooseFinalists(both, { slack: 0, most: 1 }).level, 0.91);
  t.same(sent(0, 1), ['0', '3']);
  t.same(sent(0, 20), ['0', '3'], 'below the level nobody is sent');
  t.same(sent(0.011, 1), ['1'], 'two searches, one network');
  t.same(sent(0.031, 1), ['2', '1']);
  t.same(sent(0.031, 2), ['2', '1', '3']);
  t.same(sent(0.031, 3), ['2', '1', '0', '3']);
  const empty = [...both, search('c', 'cycles', [])];
  t.throws(() => chooseFinalists(empty, { slack: 0, most: 5 }), { code: 'SPACE_INFEASIBLE' });
  t.end();
});

t.test('a network that two searches found was found by the own search of either device', (t) => {
  const { finalists, ownBest } = chooseFinalists(both, { slack: 0.031, most: 2 });
  const shared = finalists[1]!;
  const trial = (device: string): [string, number] => {
    const { study, row } = findFor(shared, device as DeviceId);
    return [study, row.trialNumber];
  };
  t.same(trial('a'), ['study of a', 1]);
  t.same(trial('b'), ['study of b', 4]);
  t.same(trial('c'), ['study of a', 1], 'another device takes the first that found it');
  t.equal(ownBest.get('a' as DeviceId)?.architectureId, '2');
  t.equal(ownBest.get('b' as DeviceId), shared, 'the fastest of b, though a sent it too');
  t.end();
});

t.test(
  'any fronts: at most so many of each, no duplicate, and nobody faster of a front stays behind',
  (t) => {
    const member = fc.record({
      id: fc.nat({ max: 12 }),
      accuracy: fc.integer({ min: 80, max: 95 }),
      cycles: fc.integer({ min: 1, max: 50 }),
    });
    const front = fc.uniqueArray(member, { minLength: 1, maxLength: 10, selector: ({ id }) => id });
    const input = fc.record({
      fronts: fc.array(front, { minLength: 2, maxLength: 4 }),
      slack: fc.integer({ min: 0, max: 10 }),
      most: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(input, ({ fronts, slack, most }) => {
        const searches = fronts.map((rows, d) =>
          search(
            `${d}`,
            'cycles',
            rows.map(({ id, accuracy, cycles }, i) => row(i, accuracy, { cycles }, id)),
          ),
        );
        const { level, finalists, ownBest } = chooseFinalists(searches, { slack, most });
        t.equal(level, Math.min(...fronts.map((rows) => Math.max(...rows.map((r) => r.accuracy)))) - slack);
        t.equal(new Set(finalists.map(({ architectureId }) => architectureId)).size, finalists.length);
        for (const { deviceId, front } of searches) {
          const sent = finalists.flatMap(({ finds }) => finds.filter((f) => f.deviceId === deviceId));
          const able = front.filter(({ values }) => (values.accuracy as number) >= level);
          t.equal(sent.length, Math.min(most, able.length));
          const slowest = Math.max(...sent.map((find) => find.row.values.cycles as number));
          for (const left of able.filter((one) => !sent.some((find) => find.row === one)))
            t.ok((left.values.cycles as number) >= slowest);
          const best = findFor(ownBest.get(deviceId)!, deviceId).row.values.cycles;
          t.equal(best, Math.min(...able.map(({ values }) => values.cycles as number)));
        }
      }),
      { numRuns: 200 },
    );
    t.end();
  },
);
