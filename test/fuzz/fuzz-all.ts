import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cTargetNames, fuzzC } from './c-targets.js';
import type { FuzzFigures } from './guided.js';
import { targetNames } from './targets/index.js';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./run-target.js', import.meta.url));
const heapMiB = 1024;

export interface TargetOutcome {
  readonly target: string;
  readonly inputs: number;
  readonly crashes: number;
  readonly untyped: number;
  readonly slow: number;
  readonly overMemory: number;
  /** Blocks of JavaScript, or edges of C; 0 where coverage did not guide. */
  readonly covered: number;
  readonly corpus: number;
  readonly findings: readonly string[];
}

export const allTargets: readonly string[] = [...targetNames, ...cTargetNames];

export interface FuzzOptions {
  readonly seed: number;
  readonly inputs: number;
  /** Of scripts; programs in C always are. */
  readonly guided: boolean;
}

/** Runs one target in a process of its own. */
export async function fuzzTarget(
  target: string,
  { seed, inputs, guided }: FuzzOptions,
): Promise<TargetOutcome> {
  const nothing = { crashes: 0, untyped: 0, slow: 0, overMemory: 0, findings: [] };
  try {
    if (target.startsWith('c-')) {
      const { edges, corpus, slow } = await fuzzC(target as (typeof cTargetNames)[number], { seed, inputs });
      return { ...nothing, target, inputs, covered: edges, corpus, slow };
    }
    const args = [`--max-old-space-size=${heapMiB}`, program, target, String(seed), String(inputs)];
    const { stdout } = await run(process.execPath, guided ? [...args, 'guided'] : args, {
      maxBuffer: 2 ** 26,
    });
    const figures = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as FuzzFigures;
    const { untyped, slow, overMemory, blocks, corpus, findings } = figures;
    return {
      target,
      inputs: figures.inputs,
      crashes: 0,
      untyped,
      slow,
      overMemory,
      covered: blocks,
      corpus,
      findings,
    };
  } catch (thrown) {
    const { stderr = '', message } = thrown as { readonly stderr?: string; readonly message: string };
    const words = stderr.trim() === '' ? message : stderr.trim().slice(-4000);
    return {
      ...nothing,
      target,
      inputs,
      crashes: 1,
      covered: 0,
      corpus: 0,
      findings: [`${target}: crash: ${words}`],
    };
  }
}
