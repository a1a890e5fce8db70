import type { Json } from '../../../core/json.js';
import type { RunnerReport } from './report.js';

export type ModelFormat = 'onnx' | 'tflite';

export interface RunnerFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One run of the program: so many inferences in a row of the model at a path of the phone. */
export interface RunOrder {
  readonly folder: string;
  readonly model: string;
  readonly runs: number;
  readonly threads: number;
  /** Where it writes what it writes to a file. */
  readonly result: string;
}

export interface RunnerOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** What it wrote to its result file; null where there is none. */
  readonly result: string | null;
}

/** A native program for phones that times a network, and what it prints. */
export interface Runner {
  readonly name: string;
  readonly takes: ModelFormat;
  /** Of the target: what computes. */
  readonly runtime: string;
  /** Of the target: two builds of one program are two targets. */
  readonly version: string;
  /** What a measurement keeps of it. */
  readonly provenance: { readonly [key: string]: Json };
  /** The first one is the program. */
  readonly files: readonly RunnerFile[];
  /** Arguments by which it says what options it has; `heard` is told the answer. */
  readonly help?: { readonly args: readonly string[]; heard(text: string): void };
  command(order: RunOrder): readonly string[];
  /** Throws RUNNER_OUTPUT_INVALID. */
  read(output: RunnerOutput): RunnerReport;
}
