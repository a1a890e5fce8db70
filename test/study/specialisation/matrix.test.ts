import t from 'tap';
import type { ArchitectureId, DeviceId, StudyId } from '../../../daemon/core/ids.js';
import type { FrontRow } from '../../../daemon/study/front.js';
import { chooseWinners, standingOf } from '../../../daemon/study/specialisation/matrix.js';
import type { MatrixCell } from '../../../daemon/study/specialisation/shapes.js';

const own = 'a' as DeviceId;

const row = (trialNumber: number, accuracy: number, speed: Record<string, number>): FrontRow => ({
  trialNumber,
  architectureId: `${trialNumber}` as ArchitectureId,
  values: { accuracy, ...speed },
  latencyCiUs: {},
  macs: 1,
  parameters: 1,
  provenance: 'measured',
  measurementIds: [],
});

const front = (deviceId: string, speed: 'latencyUs' | 'cycles', rows: readonly FrontRow[]) => ({
  deviceId: deviceId as DeviceId,
  study: `study of ${deviceId}` as StudyId,
  speed,
  front: rows,
});

t.test('winners: the fastest of each front within the slack of the least best accuracy', (t) => {
  const times = [
    row(0, 0.95, { latencyUs: 90 }),
    row(1, 0.9, { latencyUs: 50 }),
    row(2, 0.88, { latencyUs: 20 }),
  ];
  const counts = [row(3, 0.91, { cycles: 1e6 }), row(4, 0.9, { cycles: 9e5 }), row(5, 0.7, { cycles: 1 })];
  const both = [front('a', 'latencyUs', times), front('b', 'cycles', counts)];
  const chosen = (slack: number): number[] =>
    chooseWinners(both, slack).winners.map((one) => one.row.trialNumber);
  t.equal(chooseWinners(both, 0).level, 0.91);
  t.same(chosen(0), [0, 3]);
  t.same(chosen(0.011), [1, 4]);
  t.same(chosen(0.031), [2, 4]);
  t.throws(() => chooseWinners([...both, front('c', 'cycles', [])], 0), { code: 'SPACE_INFEASIBLE' });
  t.end();
});

t.test('a winner is judged on its own device, by what counts there', (t) => {
  const cell = (
    value: number | null,
    accuracy: number | null,
    more: Partial<MatrixCell> = {},
  ): MatrixCell => ({
    value,
    ci: null,
    accuracy,
    provenance: 'measured',
    measurementId: null,
    reason: null,
    ...more,
  });
  const standing = (mine: MatrixCell, ...others: MatrixCell[]): string => {
    const rows = [mine, ...others].map((one, i) => ({
      deviceId: i === 0 ? own : (`other-${i}` as DeviceId),
      cells: { [own]: one },
    }));
    const { standing, replacedBy } = standingOf(rows[0] as (typeof rows)[0], rows, 0.9);
    return replacedBy === null ? standing : `${standing}, take ${replacedBy}`;
  };
  t.equal(standing(cell(10, 0.91), cell(11, 0.95)), 'fastest');
  t.equal(standing(cell(10, 0.91), cell(9, 0.92)), 'beaten, take other-1');
  t.equal(standing(cell(10, 0.91), cell(9, 0.91)), 'beaten, take other-1', 'as accurate, and faster');
  t.equal(standing(cell(10, 0.91), cell(9, 0.905)), 'on the front');
  t.equal(standing(cell(10, 0.91), cell(9, 0.905), cell(8, 0.93)), 'beaten, take other-2');
  t.equal(
    standing(cell(10, 0.91), cell(7, 0.905), cell(9, 0.95), cell(8, 0.91)),
    'beaten, take other-3',
    'the fastest of those that are no less accurate',
  );
  t.equal(standing(cell(10, 0.91), cell(9, 0.89)), 'fastest', 'below the level it is no rival');
  t.equal(standing(cell(10, 0.91), cell(9, 0.95, { reason: 'flashBytes 9 > 5' })), 'fastest');
  t.equal(standing(cell(10, 0.91), cell(null, null)), 'fastest');
  t.equal(standing(cell(null, 0.91), cell(9, 0.95)), 'unknown');
  t.equal(standing(cell(10, 0.91, { ci: [9, 11] }), cell(9, 0.95, { ci: [8, 10] })), 'not apart');
  t.equal(
    standing(cell(10, 0.91, { ci: [9.9, 11] }), cell(9, 0.95, { ci: [8.9, 9.8] })),
    'beaten, take other-1',
  );
  t.end();
});
