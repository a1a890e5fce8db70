import { z } from 'zod';
import { sha256Hex } from '../../../core/hash.js';
import { readBenchmarkModel } from './benchmark-model.js';
import { readBenchmarkProfile } from './benchmark-profile.js';
import { readJsonResults } from './json-results.js';
import { readPerfTest } from './perf-test.js';
import type { RunnerReport } from './report.js';
import type { Runner, RunnerFile, RunnerOutput } from './runner.js';

const fileName = z.string().regex(/^[\w.+-]{1,100}$/, 'a file name of letters, digits and . _ + -');

/** A program of the user's: what is pushed, how it is called, and which form its output has. */
export const ownRunnerSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,40}$/, 'at most 40 letters, digits and . _ -'),
  /** Shown beside the name; two versions are two targets. */
  version: z.string().min(1).max(60).optional(),
  models: z.enum(['onnx', 'tflite']),
  /** Beside the specification; the first one is made executable. */
  files: z.array(fileName).min(1).max(20),
  /** Arguments; `{folder}`, `{model}`, `{runs}`, `{threads}` and `{result}` are filled in. */
  command: z
    .array(z.string().min(1).max(1000))
    .min(1)
    .max(100)
    .refine((args) => args.some((arg) => arg.includes('{model}')), 'no argument names {model}')
    .refine((args) => args.some((arg) => arg.includes('{runs}')), 'no argument names {runs}'),
  output: z.enum(['perf_test', 'benchmark_model', 'benchmark_profile', 'json']),
});

export type OwnRunner = z.infer<typeof ownRunnerSchema>;

const readers: Readonly<Record<OwnRunner['output'], (output: RunnerOutput) => RunnerReport>> = {
  perf_test: ({ stdout, result }) => readPerfTest(stdout, result),
  benchmark_model: ({ stdout, result }) => readBenchmarkModel(result ?? stdout),
  benchmark_profile: ({ stdout, result }) => readBenchmarkProfile(result ?? stdout),
  json: ({ stdout, result }) => readJsonResults(result ?? stdout),
};

export function ownRunner(spec: OwnRunner, files: readonly RunnerFile[]): Runner {
  const content = files.map(({ name, bytes }) => [name, sha256Hex(bytes)] as const);
  const sha256 = sha256Hex(JSON.stringify([spec, content]));
  return {
    name: spec.name,
    takes: spec.models,
    runtime: spec.name,
    version: [spec.version, sha256.slice(0, 8)].filter(Boolean).join(' '),
    provenance: {
      name: spec.name,
      version: spec.version ?? null,
      command: [...spec.command],
      output: spec.output,
      files: Object.fromEntries(content),
    },
    files,
    command: (order) =>
      spec.command.map((argument) =>
        argument.replace(/\{(folder|model|runs|threads|result)\}/g, (_, key: keyof typeof order) =>
          String(order[key]),
        ),
      ),
    read: (output) => readers[spec.output](output),
  };
}
