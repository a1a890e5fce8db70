import t from 'tap';
import { describeSpecialisation } from '../../daemon/cli/describe-specialisation.js';
import { type MatrixCell, specialisationSchema } from '../../daemon/study/specialisation/shapes.js';

const cell = (value: number | null, more: Partial<MatrixCell> = {}) => ({
  value,
  ci: null,
  accuracy: 0.9,
  accuracyCi: [0.88, 0.92] as const,
  provenance: 'emulated',
  measurementId: 'measurement-1',
  reason: null,
  ...more,
});
const column = (deviceId: string, speed: 'latencyUs' | 'cycles' | 'instructions') => ({
  deviceId,
  speed,
  search: `study of ${deviceId}`,
  finals: null,
});
const timed = { ci: [98, 102] as [number, number], provenance: 'measured' as const };
const matrix = specialisationSchema.parse({
  id: 'specialisation-1',
  name: 'three',
  state: 'completed',
  reason: null,
  createdMs: 0,
  slack: 0.01,
  finalists: 5,
  protocol: null,
  columns: [column('cpu', 'latencyUs'), column('pico', 'cycles'), column('m7', 'instructions')],
  level: 0.885,
  distinctFinalists: 12,
  rows: [
    {
      deviceId: 'cpu',
      foundFor: 'm7',
      study: 'study-1',
      trialNumber: 4,
      architectureId: 'a'.repeat(64),
      accuracy: 0.9,
      accuracyCi: null,
      cells: {
        cpu: cell(100, timed),
        pico: cell(2_500_000, { reason: 'flashBytes 9 > 5', accuracy: null }),
        m7: cell(null, { reason: 'NETWORK_TOO_LARGE: by 5 bytes', accuracy: null, provenance: null }),
      },
      standing: 'fastest',
    },
  ],
});

t.test('a matrix tells the unit of each column, and why a cell does not count', (t) => {
  const rows = [...matrix.rows, { ...matrix.rows[0], cells: { m7: cell(3e6) } }];
  const text = describeSpecialisation(specialisationSchema.parse({ ...matrix, rows }));
  const [head, equal, share, , titles, row] = text.split('\n');
  t.equal(head, 'specialisation-1 is completed');
  t.match(equal, /at least 88\.50 %.*less 1\.00 %/);
  t.match(share, /^12 finalists, at most 5 of each search/);
  t.match(
    titles,
    /^WINNER FOR +FOUND FOR +TRIAL +LATENCY ON cpu +CYCLES \(MODELLED\) ON pico +INSTRUCTIONS \(EMULATED\) ON m7/,
  );
  t.match(
    row,
    /^cpu +m7 +study-1\/4 +100 us ±2\.0 %, 90\.0 % \(88\.0 to 92\.0\) +2\.500 M \(beyond a limit\) +NETWORK_TOO_LARGE +fastest/,
  );
  t.end();
});

t.test('before all searches have ended it says which are under way', (t) => {
  const text = describeSpecialisation({
    ...matrix,
    state: 'failed',
    reason: 'why',
    level: null,
    distinctFinalists: null,
    rows: [],
  });
  t.match(text, /is failed: why\n {2}cpu: study of cpu/);
  t.end();
});
