import fc from 'fast-check';
import t from 'tap';
import type { ArchitectureId, DeviceId, StudyId } from '../../../daemon/core/ids.js';
import type { MeasurementRecord, TrialRecord } from '../../../daemon/store/contract.js';
import type { Finalist } from '../../../daemon/study/specialisation/finalists.js';
import { cellOf, matrixRows, winnerAmong } from '../../../daemon/study/specialisation/matrix.js';
import type { MatrixCell } from '../../../daemon/study/specialisation/shapes.js';

const cell = (value: number | null, accuracy: number | null, more: Partial<MatrixCell> = {}): MatrixCell => ({
  value,
  ci: null,
  accuracy,
  accuracyCi: null,
  provenance: 'measured',
  measurementId: null,
  reason: null,
  ...more,
});
const timed = (value: number, accuracy: number, ci: [number, number]) => cell(value, accuracy, { ci });
const level = 0.9;

t.test('the winner is the fastest by what was measured there, among those that count', (t) => {
  const won = (...cells: readonly MatrixCell[]): string => {
    const winner = winnerAmong(cells, level);
    return winner ? `${winner.index}, ${winner.standing}` : 'none';
  };
  t.equal(won(cell(10, 0.91), cell(9, 0.9)), '1, fastest', 'at the level is enough');
  t.equal(won(cell(10, 0.91), cell(9, 0.899)), '0, fastest', 'below it does not count');
  t.equal(won(cell(10, 0.91), cell(9, 0.95, { reason: 'flashBytes 9 > 5' })), '0, fastest');
  t.equal(won(cell(10, 0.91), cell(null, null, { reason: 'MEASUREMENT_INVALID' })), '0, fastest');
  t.equal(won(cell(10, 0.91), cell(9, null)), '0, fastest', 'nobody knows how accurate it is');
  t.equal(won(cell(9, 0.91), cell(9, 0.93)), '1, not apart', 'as fast: the more accurate');
  t.equal(won(timed(10, 0.91, [9, 11]), timed(9.5, 0.9, [8, 10])), '1, not apart', 'the least median');
  t.equal(won(timed(10, 0.91, [9.9, 11]), timed(9, 0.9, [8.9, 9.8])), '1, fastest');
  t.equal(
    won(timed(10, 0.91, [9.4, 11]), timed(9, 0.9, [8.9, 9.6])),
    '1, fastest',
    'apart though they overlap',
  );
  t.equal(won(timed(10, 0.91, [9.2, 11]), timed(9, 0.9, [8.9, 9.8])), '1, not apart', 'root of 0.64 + 0.64');
  const wide = [timed(9, 0.9, [8.9, 9.2]), timed(9.5, 0.9, [9.4, 9.6]), timed(9.6, 0.9, [9, 10])];
  t.equal(won(...wide), '0, not apart', 'of the next but one');
  t.equal(won(cell(9, 0.89), cell(null, 0.95)), 'none');
  t.end();
});

t.test('a cell holds the interval of what its device gives, and of the accuracy there', (t) => {
  const trial = {
    state: 'complete',
    values: { cycles: 1000, latencyUs: 7, accuracy: 0.9 },
    evidence: { accuracy: { ci: [0.8, 0.95], images: 9, compared: null, source: 'a count' } },
    reason: null,
  } as unknown as TrialRecord;
  const measured = (more: object) =>
    ({ verdict: 'valid', latency: null, counts: null, provenance: 'measured', ...more }) as MeasurementRecord;
  const counts = { unit: 'cycles', total: 1000 };
  const board = cellOf(trial, measured({ counts: { ...counts, totalCi: [990, 1010] } }), 'cycles');
  t.match(board, { value: 1000, ci: [990, 1010], accuracyCi: [0.8, 0.95] });
  t.equal(cellOf(trial, measured({ counts }), 'cycles').ci, null, 'an emulator counts exactly');
  const latency = { normalisedCiUs: [6, 8] };
  t.same(cellOf(trial, measured({ latency, counts }), 'latencyUs').ci, [6, 8]);
  const noisy = cellOf(trial, measured({ latency, verdict: 'noisy' }), 'latencyUs');
  t.match(noisy, { value: null, ci: null });
  t.end();
});

t.test('any finals: nobody that counts beats the winner, and it is apart where it is called fastest', (t) => {
  const percent = fc.integer({ min: 85, max: 95 }).map((n) => n / 100);
  const measured = fc
    .record({
      value: fc.option(fc.integer({ min: 5, max: 30 }), { freq: 8 }),
      half: fc.option(fc.integer({ min: 0, max: 5 })),
      accuracy: fc.option(percent, { freq: 8 }),
      reason: fc.option(fc.constant('flashBytes 9 > 5'), { freq: 1 }),
    })
    .map(({ value, half, accuracy, reason }) =>
      cell(value, accuracy, {
        reason,
        ci: value === null || half === null ? null : [value - half, value + half],
      }),
    );
  fc.assert(
    fc.property(fc.array(measured, { maxLength: 12 }), (cells) => {
      const able = cells.filter(
        (one) => one.value !== null && one.reason === null && (one.accuracy ?? 0) >= level,
      );
      const winner = winnerAmong(cells, level);
      if (!winner) return able.length === 0;
      const own = cells[winner.index] as MatrixCell;
      const [value, accuracy] = [own.value as number, own.accuracy as number];
      const beaten = able.some((one) => {
        const [v, a] = [one.value as number, one.accuracy as number];
        return v <= value && a >= accuracy && (v < value || a > accuracy);
      });
      const half = ({ ci }: MatrixCell): number => (ci ? (ci[1] - ci[0]) / 2 : 0);
      const touched = able.some(
        (one) => one !== own && (one.value as number) - value <= Math.sqrt(half(one) ** 2 + half(own) ** 2),
      );
      const isLeast = able.every((one) => (one.value as number) >= value);
      return able.includes(own) && isLeast && !beaten && touched === (winner.standing === 'not apart');
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('a row for each device says whose search found its winner, and what holds meanwhile', (t) => {
  const finalist = (id: string, ...devices: string[]): Finalist => {
    const finds = devices.map((device, i) => ({
      deviceId: device as DeviceId,
      study: `study of ${device}` as StudyId,
      row: {
        trialNumber: i,
        architectureId: id as ArchitectureId,
        values: { accuracy: 0.92 },
        evidence: {},
        beside: [],
        latencyCiUs: {},
        macs: 1,
        parameters: 1,
        provenance: 'measured' as const,
        measurementIds: [],
      },
    }));
    return { architectureId: id as ArchitectureId, finds: finds as [(typeof finds)[0]] };
  };
  const finalists = [finalist('x', 'a'), finalist('y', 'a', 'b')];
  const [x, y] = finalists as [Finalist, Finalist];
  const [a, b] = ['a', 'b'] as DeviceId[] as [DeviceId, DeviceId];
  const found = {
    level,
    finalists,
    ownBest: new Map([
      [a, x],
      [b, y],
    ]),
  };
  const missing = cell(null, null, { reason: 'not measured yet' });
  const rows = (
    endedOnA: boolean,
    onA: readonly MatrixCell[],
    endedOnB: boolean,
    onB: readonly MatrixCell[],
  ) =>
    matrixRows(found, [
      { deviceId: a, haveEnded: endedOnA, cells: onA },
      { deviceId: b, haveEnded: endedOnB, cells: onB },
    ]).map((row) => [row.architectureId, row.foundFor, row.study, row.standing, row.cells[b]?.value]);

  t.same(
    rows(false, [missing, cell(5, 0.92)], false, [missing, missing]),
    [
      ['x', 'a', 'study of a', 'provisional', null],
      ['y', 'b', 'study of b', 'provisional', null],
    ],
    'before the finals have ended nobody is judged by half of them',
  );
  t.same(
    rows(true, [cell(6, 0.92), cell(5, 0.92)], false, [cell(1, 0.92), missing]),
    [
      ['y', 'a', 'study of a', 'fastest', null],
      ['y', 'b', 'study of b', 'provisional', null],
    ],
    'device by device',
  );
  t.same(
    rows(true, [cell(6, 0.92), cell(5, 0.92)], true, [cell(1, 0.92), cell(2, 0.92)]),
    [
      ['y', 'a', 'study of a', 'fastest', 2],
      ['x', 'a', 'study of a', 'fastest', 1],
    ],
    'each wins where the other was expected to',
  );
  t.same(
    rows(true, [cell(6, 0.92), cell(5, 0.92)], true, [cell(1, 0.8), cell(2, 0.92, { reason: 'flash' })])[1],
    ['y', 'b', 'study of b', 'unknown', 2],
    'none counts on b',
  );
  t.end();
});
