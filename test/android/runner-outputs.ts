/**
 * Outputs of native runners in the forms of their releases, written by hand after the sources named. Figures are those
 * of public logs where one is named.
 */
export interface RunnerLog {
  readonly source: string;
  readonly text: string;
  /** Microseconds and counts that a person reads from it. */
  readonly says: {
    readonly form: RegExp;
    readonly runs: number | null;
    readonly meanUs: number;
    readonly medianUs: number | null;
    readonly loadUs: number | null;
    readonly firstRunUs: number | null;
  };
}

const lines = (...all: readonly string[]): string => `${all.join('\n')}\n`;

/** onnxruntime_perf_test, oldest first. */
export const perfTestLogs: readonly RunnerLog[] = [
  {
    source:
      'microsoft/onnxruntime onnxruntime/test/perftest/performance_runner.{h,cc} at 034db1c2 (2019, before 1.0), sample of its README',
    text: lines(
      'Total time cost:58.8053',
      'Total iterations:1000',
      'Average time cost:58.8053 ms',
      'Min Latency is 0.0559777sec',
      'Max Latency is 0.0623472sec',
      'P50 Latency is 0.0587108sec',
      'P90 Latency is 0.0599845sec',
    ),
    says: {
      form: /first releases/,
      runs: 1000,
      meanUs: 58805.3,
      medianUs: 58710.8,
      loadUs: null,
      firstRunUs: null,
    },
  },
  {
    source:
      'the README of onnxruntime/test/perftest (2020, 1.1 to 1.4), which adds the run time of the whole',
    text: lines(
      'Setting intra_op_num_threads to 1',
      'Total time cost:58.8053',
      'Total iterations:1000',
      'Average time cost:58.8053 ms',
      'Total run time:58.8102 s',
      'Min Latency is 0.0559777sec',
      'P50 Latency is 0.0587108sec',
    ),
    says: {
      form: /first releases/,
      runs: 1000,
      meanUs: 58805.3,
      medianUs: 58710.8,
      loadUs: null,
      firstRunUs: null,
    },
  },
  {
    source:
      'performance_runner.cc at 77e6dc9a (1.1x); log in the ONNX Runtime page of an NXP or ST distribution: mobilenet_v3_small, -e acl -r 8',
    text: lines(
      'Session creation time cost: 0.0273071 s',
      'First inference time cost: 20 ms',
      'Total inference time cost: 0.14188 s',
      'Total inference requests: 8',
      'Average inference time cost: 17.735 ms',
      'Total inference run time: 0.141991 s',
      'Number of inferences per second: 56.3415 ',
      'Avg CPU usage: 98 %',
      'Peak working set size: 35299328 bytes',
      'Avg CPU usage:98',
      'Peak working set size:35299328',
      'Runs:8',
      'Min Latency: 0.0159831 s',
      'Max Latency: 0.0232702 s',
      'P50 Latency: 0.0167086 s',
      'P90 Latency: 0.0232702 s',
      'P999 Latency: 0.0232702 s',
    ),
    says: {
      form: /perf_test: average$/,
      runs: 8,
      meanUs: 17735,
      medianUs: 16708.6,
      loadUs: 27307.1,
      firstRunUs: 20000,
    },
  },
  {
    source:
      'the same form of 1.2x: log of 100 runs on an Azure Cobalt 100 in an Arm learning path, whose first inference takes 2 ms',
    text: lines(
      'Disabling intra-op thread spinning between runs',
      'Session creation time cost: 0.0102016 s',
      'First inference time cost: 2 ms',
      'Total inference time cost: 0.185739 s',
      'Total inference requests: 100',
      'Average inference time cost: 1.85739 ms',
      'Total inference run time: 0.18581 s',
      'Number of inferences per second: 538.184',
      'Avg CPU usage: 96 %',
      'Peak working set size: 36696064 bytes',
      'Runs:100',
      'Min Latency: 0.00183404 s',
      'Max Latency: 0.00190312 s',
      'P50 Latency: 0.00185674 s',
      'P90 Latency: 0.00187215 s',
    ),
    says: {
      form: /perf_test: average$/,
      runs: 100,
      meanUs: 1857.39,
      medianUs: 1856.74,
      loadUs: 10201.6,
      firstRunUs: 2000,
    },
  },
  {
    source:
      'the same form where a network is so fast that its first inference takes less than a millisecond (SpacemiT SDK 1.1)',
    text: lines(
      'Session creation time cost: 0.0455992 s',
      'First inference time cost: 0 ms',
      'Total inference time cost: 0.00371454 s',
      'Total inference requests: 100',
      'Average inference time cost: 0.0371454 ms',
      'Total inference run time: 0.00417042 s',
      'Number of inferences per second: 23978.4 ',
    ),
    says: {
      form: /perf_test: average$/,
      runs: 100,
      meanUs: 37.1454,
      medianUs: null,
      loadUs: 45599.2,
      firstRunUs: null,
    },
  },
  {
    source:
      "today's form (1.23 on): ResNet-50 on a C1-Pro core in Arm's learning path on SME2, taskset 1, -r 5 -m times -s -Z -x 1",
    text: lines(
      'Setting intra_op_num_threads to 1',
      'Disabling intra-op thread spinning between runs',
      'Session creation time cost: 0.217932 s',
      'First inference time cost: 196 ms',
      'Total inference time cost: 0.49481 s',
      'Total inference requests: 5',
      'Average inference time cost total: 98.961997 ms',
      'Total inference run time: 0.494854 s',
      'Number of inferences per second: 10.104',
      'Avg CPU usage: 11 %',
      'Peak working set size: 271122432 bytes',
      'Avg CPU usage:11',
      'Peak working set size:271122432',
      'Runs:5',
      'Min Latency: 0.0958204 s',
      'Max Latency: 0.101519 s',
      'P50 Latency: 0.0995086 s',
      'P90 Latency: 0.101519 s',
      'P999 Latency: 0.101519 s',
    ),
    says: {
      form: /average total/,
      runs: 5,
      meanUs: 98961.997,
      medianUs: 99508.6,
      loadUs: 217932,
      firstRunUs: 196000,
    },
  },
];

/** benchmark_model, oldest first. */
export const benchmarkModelLogs: readonly RunnerLog[] = [
  {
    source: 'TensorFlow 1.12: mobilenet_v1_1.0_224_quant in the Linux user guide of NXP',
    text: lines(
      'STARTING!',
      'Num runs: [50]',
      'Loaded model mobilenet_v1_1.0_224_quant.tflite',
      'resolved reporter',
      'Initialized session in 4.452ms',
      'Running benchmark for 1 iterations',
      'count=1 curr=146161',
      '',
      'Running benchmark for 50 iterations',
      'count=50 first=137789 curr=137254 min=137079 max=143416 avg=137722 std=896',
      '',
      'Average inference timings in us: Warmup: 146161, Init: 4452, no stats: 137722',
    ),
    says: { form: /no stats/, runs: 50, meanUs: 137722, medianUs: null, loadUs: 4452, firstRunUs: null },
  },
  {
    source:
      'TensorFlow 2.0 to 2.2 with --enable_op_profiling (tensorflow/lite/tools/benchmark/README.md), whose profile has statistics of its own',
    text: lines(
      'Initialized session in 38.467ms',
      'Running benchmark for at least 1 iterations and at least 0.5 seconds',
      'count=6 first=91810 curr=85097 min=84834 max=91810 avg=83235 std=2519',
      '',
      'Running benchmark for at least 50 iterations and at least 1 seconds',
      'count=50 first=79449 curr=81350 min=77385 max=88213 avg=79760.9 std=1929',
      '',
      '============================== Summary by node type ==============================',
      '\t             [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]',
      '\t                 CONV_2D\t       15\t     1.406\t    89.270%\t    89.270%\t     0.000\t        0',
      '',
      'Timings (microseconds): count=51 first=79440 curr=81340 min=77375 max=88203 avg=79732 std=1929',
      'Memory (bytes): count=0',
      '31 nodes observed',
      '',
      'Average inference timings in us: Warmup: 83235, Init: 38467, no stats: 79760.9',
    ),
    says: { form: /no stats/, runs: 50, meanUs: 79760.9, medianUs: null, loadUs: 38467, firstRunUs: null },
  },
  {
    source: 'TensorFlow 2.3 on: quicknet on a Raspberry Pi 4B in the guide of Larq Compute Engine',
    text: lines(
      'STARTING!',
      'Duplicate flags: num_threads',
      'Loaded model quicknet.tflite',
      'The input model file size (MB): 3.34914',
      'Initialized session in 3.501ms.',
      'Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.',
      'count=12 first=156677 curr=33205 min=32578 max=156677 avg=43268.1 std=34197',
      '',
      'Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.',
      'count=50 first=33228 curr=33130 min=32687 max=33239 avg=33071.8 std=129',
      '',
      'Inference timings in us: Init: 3501, First inference: 156677, Warmup (avg): 43268.1, Inference (avg): 33071.8',
    ),
    says: {
      form: /first, warm-up/,
      runs: 50,
      meanUs: 33071.8,
      medianUs: null,
      loadUs: 3501,
      firstRunUs: 156677,
    },
  },
  {
    source:
      'LiteRT 1.x through logcat, with percentiles (google-ai-edge/LiteRT, StatWithPercentiles): best_int8.tflite on a phone',
    text: lines(
      '07-14 13:14:52.190 22838 22838 I tflite  : The input model file size (MB): 3.06409',
      '07-14 13:14:52.190 22838 22838 I tflite  : Initialized session in 92.318ms.',
      '07-14 13:14:52.859 22838 22838 I tflite  : count=3 first=235158 curr=200386 min=199462 max=235158 avg=211669 std=16613 p5=199462 median=200386 p95=235158',
      '07-14 13:14:56.520 22838 22838 I tflite  : count=25 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=140545 median=141253 p95=187533',
      '07-14 13:14:56.521 22838 22838 I tflite  : Inference timings in us: Init: 92318, First inference: 235158, Warmup (avg): 211669, Inference (avg): 145528',
      '07-14 13:14:56.521 22838 22838 I tflite  : Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.4102',
    ),
    says: {
      form: /first, warm-up/,
      runs: 25,
      meanUs: 145528,
      medianUs: 141253,
      loadUs: 92318,
      firstRunUs: 235158,
    },
  },
  {
    source: 'TensorFlow Lite through NNAPI: numbers of seven digits print with an exponent',
    text: lines(
      'INFO: Initialized TensorFlow Lite runtime.',
      'The input model file size (MB): 4.27635',
      'Inference timings in us: Init: 25558, First inference: 9992420, Warmup (avg): 9.99242e+06, Inference (avg): 8459.69',
    ),
    says: {
      form: /first, warm-up/,
      runs: null,
      meanUs: 8459.69,
      medianUs: null,
      loadUs: 25558,
      firstRunUs: 9992420,
    },
  },
];

/** The table of `--profiling_output_csv_file`: TensorFlow 2.4 on, where the initialisation has a section of its own. */
export const benchmarkProfile = lines(
  'Profiling Info for Benchmark Initialization:',
  '============================== Run Order ==============================',
  'node type, start, first, avg_ms, %, cdf%, mem KB, times called, name',
  'AllocateTensors, 0, 0.029, 0.029, 100%, 100%, 0, 1, AllocateTensors/0',
  '',
  'Number of nodes executed: 1',
  '============================== Summary by node type ==============================',
  'node type, count, avg_ms, avg %, cdf %, mem KB, times called',
  'AllocateTensors, 1, 0.029, 100%, 100%, 0, 1',
  '',
  'Timings (microseconds): count=1 curr=29',
  'Memory (bytes): count=0',
  '1 nodes observed',
  '',
  '',
  'Operator-wise Profiling Info for Regular Benchmark Runs:',
  '============================== Run Order ==============================',
  'node type, start, first, avg_ms, %, cdf%, mem KB, times called, name',
  'CONV_2D, 0, 0.11, 0.0930388, 44.8994%, 44.8994%, 0, 1, [sequential_11/conv2d_33/Conv2D]:0',
  'ELU, 0.0931277, 0.034, 0.0300884, 14.5203%, 59.4197%, 0, 1, [sequential_11/conv2d_33/Elu, fused]:1',
  '',
  '============================== Top by Computation Time ==============================',
  'node type, start, first, avg_ms, %, cdf%, mem KB, times called, name',
  'CONV_2D, 0, 0.11, 0.0930388, 44.8994%, 44.8994%, 0, 1, [sequential_11/conv2d_33/Conv2D]:0',
  '',
  'Timings (microseconds): count=2412 first=219 curr=203 min=198 max=480 avg=206.7 std=8',
  'Memory (bytes): count=0',
  '2 nodes observed',
);

/** What onnxruntime_perf_test of a release prints, and writes to its result file, for the times of its runs. */
export function perfTestOutput(
  release: 'first' | 'middle' | 'today',
  seconds: readonly number[],
): { readonly stdout: string; readonly result: string } {
  // As C++ streams print: six significant digits.
  const six = (value: number): string => String(Number(value.toPrecision(6)));
  const sum = seconds.reduce((a, b) => a + b, 0);
  const sorted = [...seconds].sort((a, b) => a - b);
  const at = (share: number): string => six(sorted[Math.floor(seconds.length * share)] ?? 0);
  const mean = (1000 * sum) / seconds.length;
  const latencies =
    release === 'first'
      ? lines(`Min Latency is ${at(0)}sec`, `P50 Latency is ${at(0.5)}sec`, `P90 Latency is ${at(0.9)}sec`)
      : lines(`Min Latency: ${at(0)} s`, `P50 Latency: ${at(0.5)} s`, `P90 Latency: ${at(0.9)} s`);
  const summary =
    release === 'first'
      ? lines(
          `Total time cost:${six(sum)}`,
          `Total iterations:${seconds.length}`,
          `Average time cost:${six(mean)} ms`,
        )
      : lines(
          'Session creation time cost: 0.0213 s',
          'First inference time cost: 12 ms',
          `Total inference time cost: ${six(sum)} s`,
          `Total inference requests: ${seconds.length}`,
          release === 'middle'
            ? `Average inference time cost: ${six(mean)} ms`
            : `Average inference time cost total: ${mean.toFixed(6)} ms`,
          `Total inference run time: ${six(1.001 * sum)} s`,
          'Avg CPU usage: 12 %',
          'Peak working set size: 34567168 bytes',
        );
  const rows = seconds.map((time, run) => `hilda,${six(time)},34567168,12,${run}\n`).join('');
  return {
    stdout: release === 'first' ? summary : summary + latencies,
    result: `${rows}\n${latencies}`,
  };
}
