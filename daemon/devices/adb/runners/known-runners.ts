import { sha256Hex } from '../../../core/hash.js';
import { readBenchmarkModel } from './benchmark-model.js';
import { readPerfTest } from './perf-test.js';
import type { Runner, RunnerFile, RunnerOutput } from './runner.js';

/** onnxruntime_perf_test, which takes ONNX files and writes the time of each run to its result file. */
export function perfTestRunner(file: RunnerFile): Runner {
  let seeded = false;
  return {
    ...identity('onnxruntime_perf_test', file, /ORT Build Info: [\x20-\x7e]{1,200}/),
    takes: 'onnx',
    runtime: 'onnxruntime',
    help: {
      args: ['-h'],
      heard: (text) => {
        seeded = /(?:^|\s)-{1,2}S\b/.test(text);
      },
    },
    command: ({ folder, model, runs, threads, result }) => [
      `${folder}/${file.name}`,
      '-I',
      ...['-m', 'times'],
      ...['-r', String(runs)],
      ...['-e', 'cpu'],
      ...['-x', String(threads)],
      // Without a seed the inputs are memory as it comes, whose subnormal numbers can be slow.
      ...(seeded ? ['-S', '1'] : []),
      '-s',
      model,
      result,
    ],
    read: ({ stdout, result }) => readPerfTest(stdout, result),
  };
}

/** TensorFlow Lite's benchmark_model, which takes its own files and prints figures of all runs together. */
export function benchmarkModelRunner(file: RunnerFile): Runner {
  return {
    ...identity('benchmark_model', file, /(?:TensorFlow|TFLite|LiteRT) ?(?:runtime )?v?\d+\.\d+\.\d+/),
    takes: 'tflite',
    runtime: 'tflite',
    command: ({ folder, model, runs, threads }) => [
      `${folder}/${file.name}`,
      `--graph=${model}`,
      `--num_runs=${runs}`,
      `--num_threads=${threads}`,
      // Otherwise it goes on for a second with any number of runs.
      '--min_secs=0',
      '--warmup_runs=1',
      '--warmup_min_secs=0',
    ],
    read: (output) => readBenchmarkModel(spoken(output, /timings in us:/)),
  };
}

/** Loggers write to one stream or the other, by release. */
const spoken = ({ stdout, stderr }: RunnerOutput, mark: RegExp): string =>
  !mark.test(stdout) && mark.test(stderr) ? stderr : stdout;

/** Name and version by the program's content: the programs themselves do not say what release they are. */
function identity(
  name: string,
  file: RunnerFile,
  build: RegExp,
): Pick<Runner, 'name' | 'version' | 'provenance' | 'files'> {
  const sha256 = sha256Hex(file.bytes);
  const found = build.exec(Buffer.from(file.bytes).toString('latin1'))?.[0] ?? null;
  return {
    name,
    version: `${name} ${sha256.slice(0, 8)}`,
    provenance: { name, file: file.name, bytes: file.bytes.byteLength, sha256, build: found },
    files: [file],
  };
}
