import type { Knex } from 'knex';
import { architectureId } from '../../../daemon/core/architecture.js';
import { systemClock } from '../../../daemon/core/clock.js';
import type { DeviceId, StudyId } from '../../../daemon/core/ids.js';
import type { Json } from '../../../daemon/core/json.js';
import type { Measurement } from '../../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { FakeDriver } from '../../../daemon/devices/fake/driver.js';
import { loadProtocol } from '../../../daemon/measure/protocols.js';
import { loadSpace } from '../../../daemon/search/spaces/registry.js';
import type { TrialRecord } from '../../../daemon/store/contract.js';
import { openStore } from '../../../daemon/store/open-store.js';
import { packRounds } from '../../../daemon/store/pack-rounds.js';
import { openSqlite } from '../../../daemon/store/sqlite-engine.js';
import { sealChunks } from '../../../daemon/store/trial-chunks.js';
import { parseStudySpec } from '../../../daemon/study/spec.js';

export const deviceId = 'fake-0' as DeviceId;
const searchedLayers = 6;

/** 9 ** 6 architectures: each of the trials has one of its own. */
const space = {
  kind: 'mbconv',
  id: 'six-layers',
  input: [1, 32, 32],
  classes: 10,
  stem: { width: 8, kernel: 3, stride: 1 },
  firstWidth: 8,
  stages: Array.from({ length: searchedLayers }, (_, i) => ({
    width: 8 + 4 * i,
    layers: 1,
    stride: i % 3 === 2 ? 2 : 1,
  })),
  kernels: [3, 5, 7],
  expansions: [1, 3, 6],
  skip: false,
  headWidth: 32,
};

const spec = parseStudySpec({
  name: 'bench study-scale',
  space,
  sampler: { name: 'random' },
  evaluator: { kind: 'external' },
  devices: [deviceId],
  protocol: 'quick',
  budget: { trials: 500_000 },
  batch: 10,
});

export interface DrawnTrial
  extends Pick<
    TrialRecord,
    'architectureId' | 'architecture' | 'note' | 'predicted' | 'values' | 'evidence'
  > {
  readonly state: Exclude<TrialRecord['state'], 'asked'>;
  readonly reason: string | null;
}

/** The n-th trial of a drawn study: latency and accuracy trade off with noise, one in twenty breaks a limit or fails. */
export function drawnTrial(number: number): DrawnTrial {
  const rng = Xoshiro128.fromSeed(number);
  let code = number;
  const architecture = Array.from({ length: searchedLayers }, () => {
    const choice = code % 9;
    code = Math.floor(code / 9);
    return choice;
  });
  const size = architecture.reduce((sum, choice) => sum + choice, 0) / (8 * searchedLayers);
  const accuracy = Math.min(0.999, 0.5 + 0.4 * Math.sqrt(size) + 0.02 * rng.next());
  const latencyUs = 200 + 3000 * size * (0.8 + 0.4 * rng.next());
  const chance = rng.next();
  const state = chance < 0.95 ? 'complete' : chance < 0.98 ? 'infeasible' : 'failed';
  const margin = 0.01;
  return {
    architectureId: architectureId(space.id, architecture),
    architecture,
    note: 'drawn',
    state,
    reason:
      state === 'complete'
        ? null
        : state === 'failed'
          ? 'DEVICE_FAILED: drawn so'
          : `latencyUs ${latencyUs} > 1`,
    predicted: { latencyUs: { mean: latencyUs, low: 0.9 * latencyUs, high: 1.1 * latencyUs } },
    values: {
      macs: Math.round(1e6 * size),
      parameters: Math.round(1e4 * size),
      latencyUs,
      peakBytes: Math.round(1e5 * (1 + size)),
      ...(state === 'complete' && { accuracy }),
    },
    evidence:
      state === 'complete'
        ? {
            accuracy: {
              ci: [accuracy - margin, accuracy + margin],
              images: 10_000,
              compared: null,
              source: 'drawn, 10000 images',
            },
          }
        : {},
  };
}

/** A measurement as the fake device takes it; those of the trials differ from it in their latency. */
export async function measuredOnce(): Promise<Measurement> {
  const { signal } = new AbortController();
  const driver = new FakeDriver();
  for await (const sighting of driver.discover({ signal })) {
    const device = await driver.open(sighting, { signal });
    return device.measure(loadSpace(spec.space).network(drawnTrial(0).architecture), loadProtocol('quick'), {
      signal,
    });
  }
  throw new Error('the fake driver shows no device');
}

export const drawnMeasurement = (template: Measurement, { values }: DrawnTrial): Measurement => {
  const us = values.latencyUs as number;
  return {
    ...template,
    latency: template.latency && {
      ...template.latency,
      normalisedUs: us,
      normalisedCiUs: [0.98 * us, 1.02 * us],
    },
  };
};

/**
 * Makes a study of so many told trials in the database of a folder, with their measurements. Rows go in by the hundred: one
 * write a trial would take minutes.
 */
export async function fillStudy(dataDir: string, trials: number): Promise<StudyId> {
  const template = await measuredOnce();
  const store = await openStore({ dataDir, clock: systemClock });
  await store.upsertDevice({ id: deviceId, kind: 'fake', label: 'a drawn device', target: template.target });
  const { id } = await store.createStudy({
    name: `${spec.name}, ${trials} trials`,
    spec: spec as unknown as Json,
    sampler: null,
    rng: Xoshiro128.fromSeed(1).state(),
  });
  await store.close();
  const engine = await openSqlite({ dataDir });
  try {
    await engine.db.transaction((db) => insertTrials(db, id, trials, template));
  } finally {
    await engine.close();
  }
  return id;
}

const rowsAtOnce = 100;

async function insertTrials(
  db: Knex.Transaction,
  id: StudyId,
  count: number,
  template: Measurement,
): Promise<void> {
  const [{ value: before } = { value: 0 }]: { value: number }[] = await db('counters').where({
    name: 'measurements',
  });
  for (let from = 0; from < count; from += rowsAtOnce) {
    const numbers = Array.from({ length: Math.min(rowsAtOnce, count - from) }, (_, i) => from + i);
    const drawn = numbers.map((number) => ({ number, trial: drawnTrial(number) }));
    await db('trials').insert(
      drawn.map(({ number, trial }) => ({
        study_id: id,
        number,
        architecture_id: trial.architectureId,
        architecture: JSON.stringify(trial.architecture),
        note: trial.note,
        state: trial.state,
        told: true,
        metric_values: JSON.stringify(trial.values),
        evidence: JSON.stringify(trial.evidence),
        answers: '{}',
        predicted: JSON.stringify(trial.predicted),
        measurements: JSON.stringify({ [deviceId]: `m${before + number + 1}` }),
        reason: trial.reason,
        asked_ms: 0,
        finished_ms: 1,
      })),
    );
    await db('measurements').insert(
      drawn.map(({ number, trial }) => {
        const m = drawnMeasurement(template, trial);
        return {
          ordinal: before + number + 1,
          id: `m${before + number + 1}`,
          device_id: deviceId,
          study_id: id,
          trial_number: number,
          target: JSON.stringify(m.target),
          provenance: m.provenance,
          protocol: m.protocol,
          structure_hash: m.structureHash,
          weights_hash: m.weightsHash,
          latency: JSON.stringify(m.latency),
          counts: 'null',
          memory: JSON.stringify(m.memory),
          verdict: m.verdict,
          reason: m.reason,
          manifest: JSON.stringify(m.manifest),
          rounds: Buffer.from(packRounds(m.rounds)),
          taken_at_ms: 0,
          duration_ms: 1,
        };
      }),
    );
  }
  await db('counters')
    .where({ name: 'measurements' })
    .update({ value: before + count });
  await sealChunks(db, id);
}
