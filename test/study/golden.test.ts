import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Json } from '../../daemon/core/json.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { openBench, smallSpec, testSpec } from './bench.js';

/**
 * Golden runs: what studies of a fixed seed proposed and stored, recorded before device work became jobs. A change of
 * how work reaches devices may not change them. A change of samplers, predictors or statistics may: record anew
 * with `HILDA_RECORD_GOLDEN=1 node dist/test/study/golden.test.js` and say why in the commit.
 */
const file = new URL('../../../test/study/golden.json', import.meta.url);
const isRecording = process.env.HILDA_RECORD_GOLDEN === '1';
const recorded = isRecording
  ? {}
  : (JSON.parse(readFileSync(file, 'utf8')) as Record<string, readonly string[]>);

const twoDevices = {
  devices: ['fake-0', 'fake-1'],
  objectives: [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
  ],
  constraints: [{ metric: 'peakBytes@fake-1', max: 40_000 }],
  batch: 5,
};

/** Each study ends in a second or two; together they use every way in which a study asks for device work. */
const studies: Readonly<Record<string, (dir: string) => Promise<object>>> = {
  random: async (dir) => smallSpec(dir, { budget: { trials: 40 } }),
  'regularized-evolution, two devices, a limit': async (dir) =>
    smallSpec(dir, { ...twoDevices, sampler: { name: 'regularized-evolution' }, budget: { trials: 40 } }),
  'nsga2, batches of one': async (dir) =>
    smallSpec(dir, { sampler: { name: 'nsga2' }, batch: 1, budget: { trials: 30 } }),
  'linas, two devices': async (dir) =>
    smallSpec(dir, { ...twoDevices, sampler: { name: 'linas' }, budget: { trials: 60 } }),
  'fbnetv3, static limit': async (dir) =>
    smallSpec(dir, {
      sampler: { name: 'fbnetv3' },
      constraints: [{ metric: 'macs', max: 60_000 }],
      budget: { trials: 40 },
    }),
  'the shipped space, scored by a command': async () => testSpec({ sampler: { name: 'linas' } }),
};

const row = ({ number, architecture, state, values, measurements }: TrialRecord): string => {
  const told = Object.entries(values)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([metric, value]) => `${metric}=${Number(value.toPrecision(9))}`);
  return [
    number,
    (architecture as readonly Json[]).join('.'),
    state,
    ...told,
    Object.keys(measurements).sort().join('+'),
  ]
    .filter((part) => part !== '')
    .join(' ');
};

for (const [name, spec] of Object.entries(studies)) {
  t.test(`golden run: ${name}`, { timeout: 300_000 }, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'hilda-golden-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const bench = await openBench(dir, { ids: ['fake-0', 'fake-1'] });
    t.teardown(() => bench.close());
    const { id } = await bench.studies.create(await spec(dir));
    await bench.studies.settled(id);
    const { state, reason } = await bench.store.study(id);
    t.equal(state, 'completed', reason ?? '');
    const rows = (await bench.store.trials(id)).map(row);
    if (isRecording) Object.assign(recorded, { [name]: rows });
    else t.same(rows, recorded[name]);
  });
}

if (isRecording) process.on('exit', () => writeFileSync(file, `${JSON.stringify(recorded, null, 1)}\n`));
