import { Option } from 'commander';

const listed = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** What phones run in place of their browser; given again, another one beside it. */
export const runnerOption = (): Option =>
  new Option(
    '--runner <file>',
    'a program for the phones, in place of their browser: onnxruntime_perf_test, benchmark_model (TensorFlow Lite), or a specification of your own; may be given again',
  ).argParser(listed);

/** The cores that runners get; given again, another device beside the first. */
export const coresOption = (): Option =>
  new Option(
    '--cores <choice>',
    'cores for the runners: all, little, big, prime or a list such as 4-6,7; may be given again',
  ).argParser(listed);
