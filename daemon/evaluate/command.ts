import { execFile } from 'node:child_process';
import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { Evaluator, Quality } from './contract.js';
import { givenValueSchema, readGiven } from './given-values.js';

export interface CommandOptions {
  readonly command: readonly string[];
  readonly timeoutMs: number;
  /** What it prints; more is kept, less is a fault. */
  readonly metrics: readonly string[];
}

const answerSchema = z.record(z.string(), givenValueSchema);

/**
 * Any program that reads `{"architecture": ...}` on stdin and prints one JSON object of metrics, e.g.
 * `{"accuracy": 0.91}` or `{"accuracy": {"value": 0.91, "images": 2000}}`. It runs without a shell and without the daemon's environment (but for PATH and HOME).
 */
export class CommandEvaluator implements Evaluator {
  readonly metrics: readonly string[];
  readonly cost = 'train';
  readonly #options: CommandOptions;

  constructor(options: CommandOptions) {
    this.#options = options;
    this.metrics = options.metrics;
  }

  /** Throws EVALUATION_FAILED with the program's last words when it fails, says nothing in time, or gives no such values. */
  async evaluate(architecture: Architecture, { signal }: { readonly signal: AbortSignal }): Promise<Quality> {
    const [file, ...args] = this.#options.command as [string, ...string[]];
    const output = await this.#run(file, args, JSON.stringify({ architecture }), signal);
    const parsed = answerSchema.safeParse(tryJson(output));
    if (!parsed.success)
      throw new HildaError(
        'EVALUATION_FAILED',
        `${file} printed no JSON object of numbers: ${output.slice(0, 200)}`,
      );
    const lacks = this.metrics.filter((metric) => !Object.hasOwn(parsed.data, metric));
    if (lacks.length > 0)
      throw new HildaError('EVALUATION_FAILED', `${file} printed no ${lacks.join(', ')}`, {
        hint: 'evaluator.metrics names what the command prints: accuracy where nothing is said.',
      });
    return readGiven(parsed.data, { source: `command ${file}`, code: 'EVALUATION_FAILED' });
  }

  async close(): Promise<void> {}

  #run(file: string, args: readonly string[], input: string, signal: AbortSignal): Promise<string> {
    const { PATH = '', HOME = '' } = process.env;
    return new Promise((resolve, reject) => {
      const child = execFile(
        file,
        args,
        { signal, timeout: this.#options.timeoutMs, killSignal: 'SIGKILL', env: { PATH, HOME } },
        (error, stdout, stderr) => {
          if (!error) return resolve(stdout);
          if (signal.aborted)
            return reject(
              new HildaError('INTERRUPTED', 'the evaluation was aborted', { cause: signal.reason }),
            );
          const why = error.killed
            ? `gave no answer within ${this.#options.timeoutMs} ms`
            : `failed: ${stderr.trim().slice(-300) || error.message}`;
          reject(new HildaError('EVALUATION_FAILED', `${file} ${why}`, { cause: error }));
        },
      );
      // A program that does not read its input closes the pipe; its exit says the rest.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
