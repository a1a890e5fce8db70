import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { readSpec } from '../../../daemon/cli/read-input.js';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { parseFaultPlan } from '../../../daemon/faults/fault-plan.js';
import { countCost } from '../../../daemon/network/cost.js';
import { tableFormats } from '../../../daemon/predict/tables/format-names.js';
import { parseTable } from '../../../daemon/predict/tables/table-formats.js';
import { profilesDir } from '../../../daemon/process/installation.js';
import { loadSpace } from '../../../daemon/search/spaces/registry.js';
import { parseStudySpec } from '../../../daemon/study/spec.js';
import type { FuzzTarget } from '../guided.js';
import { mutateBytes, mutateValue } from '../mutate.js';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

const study = {
  name: 'a study',
  space: 'mbconv-fmnist',
  sampler: { name: 'nsga2', options: { population: 8 } },
  evaluator: { kind: 'table', file: 'table.json', source: 'a formula' },
  devices: ['fake-0'],
  protocol: 'quick',
  objectives: [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs@0', goal: 'min' },
  ],
  constraints: [{ metric: 'peakBytes', max: 1e6 }],
  budget: { trials: 24, maxMinutes: 5 },
  batch: 6,
  seed: 7,
};
const plan = { seed: 1, rules: [{ edge: 'store', match: 'COMMIT', action: 'fail', every: 3 }] };

/** A file that a person names: YAML or JSON, then the schema that it is held to. */
export function specificationTarget(): FuzzTarget<Uint8Array> {
  const folder = mkdtemp(join(tmpdir(), 'hilda-fuzz-'));
  return {
    name: 'yaml',
    seeds: () => [
      bytesOf(stringify(study)),
      bytesOf(JSON.stringify(study)),
      bytesOf(stringify(plan)),
      bytesOf('a: &a [1, 2]\nb: *a\nc: !!binary aGk=\nd: |\n  text\n? [x, y]\n: {z: 2026-11-30}\n<<: *a\n'),
      bytesOf('--- # two\na: 1\n...\n---\nb: 2\n'),
    ],
    mutate: mutateBytes,
    run: async (bytes) => {
      const path = join(await folder, 'spec.yaml');
      await writeFile(path, bytes);
      const value = await readSpec(path);
      const errors = [parseStudySpec, parseFaultPlan].flatMap((check) => {
        try {
          check(value);
          return [];
        } catch (thrown) {
          return [thrown];
        }
      });
      // The one that is the least right says what is wrong with the reader.
      const worst = errors.find((error) => (error as { code?: string }).code === undefined) ?? errors[0];
      if (worst) throw worst;
    },
    close: async () => rm(await folder, { recursive: true, force: true }),
  };
}

/** Space files by their shipped examples; a space that loads is sampled, counted and built. */
export const spaceTarget: FuzzTarget<unknown> = {
  name: 'spaces',
  seeds: () =>
    [
      'ascan-mini',
      'attention-family',
      'einspace-mini',
      'flexibert-mini',
      'hourglass-mlp',
      'linear-recurrence',
      'lowformer-mini',
      'mbconv-fmnist',
      'mbconv-fmnist-formats',
      'mcuformer-tiny',
      'nasbench201-mcu',
      'ofa-mobilenetv3',
      'vit-fmnist-tiny',
      'yfork-mini',
    ].map((name) => JSON.parse(readFileSync(join(profilesDir, 'spaces', `${name}.json`), 'utf8'))),
  mutate: mutateValue,
  run: (file) => {
    const space = loadSpace(file);
    const rng = Xoshiro128.fromSeed(1);
    const architecture = space.sample(rng);
    space.normalise(space.mutate(architecture, rng));
    const { macs } = space.stats(architecture);
    // What is large is built as well; what is huge takes more than a look.
    if (macs < 2e7) countCost(space.network(architecture));
  },
};

const table = [
  'hildaTable: 1',
  'unit: us',
  'target: null',
  'provenance: measured',
  'source: x',
  'entries:',
  '  Conv-input:28x28x1-output:28x28x8: {count: 3, mean: 12.5, std: 0.25}',
].join('\n');
const ofa = 'Conv-input:224x224x3-output:112x112x24: {count: 3, mean: 1.25, std: 0.01}\n';
const proxyless = 'Conv-input:224x224x3-output:112x112x40: {count: 3, mean: 1.25, var: 0.01}\n';
const fbnet = 'ir_k3_e1 ir_k5_e6 skip\n1.5 2.5 0.1\n- 2.5 -\n';

export const tableTarget: FuzzTarget<Uint8Array> = {
  name: 'tables',
  seeds: () => [table, ofa, proxyless, fbnet].map(bytesOf),
  mutate: mutateBytes,
  run: (bytes) => {
    const errors = tableFormats.flatMap((format) => {
      try {
        parseTable(textOf(bytes), format, 'a file');
        return [];
      } catch (thrown) {
        return [thrown];
      }
    });
    const worst = errors.find((error) => (error as { code?: string }).code !== 'TABLE_INVALID');
    if (worst) throw worst;
    if (errors.length === tableFormats.length) throw errors[0];
  },
};
