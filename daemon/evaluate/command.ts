import { spawn } from 'node:child_process';
import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import { systemClock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { guardDescriptor, guardedCommand, killGroup } from '../core/guarded-command.js';
import { printedText, startedCommand } from '../faults/edges/child.js';
import type { Evaluator, Quality } from './contract.js';
import { givenValueSchema, readGiven } from './given-values.js';

export interface CommandOptions {
  readonly command: readonly string[];
  readonly timeoutMs: number;
  /** What it prints; more is kept, less is a fault. */
  readonly metrics: readonly string[];
}

const maxOutputBytes = 2 ** 20;

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

  /** The program's output. It and all it started end with the call, and with the daemon. */
  async #run(file: string, args: readonly string[], input: string, signal: AbortSignal): Promise<string> {
    const { PATH = '', HOME = '' } = process.env;
    const { timeoutMs } = this.#options;
    const [command, ...rest] = startedCommand(file, guardedCommand([file, ...args], process.platform));
    const failed = (why: string, cause?: unknown): HildaError =>
      new HildaError('EVALUATION_FAILED', `${file} ${why}`, { cause });
    if (signal.aborted) throw interrupted(signal);
    return new Promise((resolve, reject) => {
      const child = spawn(command, rest, {
        env: { PATH, HOME },
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      });
      const [output, words] = [new Tail(maxOutputBytes), new Tail(4096)];
      child.stdout?.on('data', (bytes: Buffer) => {
        output.add(bytes);
        if (output.isCut) end(failed(`printed more than ${maxOutputBytes} bytes`));
      });
      child.stderr?.on('data', (bytes: Buffer) => words.add(bytes));
      let reason: HildaError | undefined;
      const end = (why: HildaError): void => {
        reason ??= why;
        killGroup(child.pid, process.kill);
      };
      const onAbort = (): void => end(interrupted(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      const late = setTimer(timeoutMs, () => end(failed(`gave no answer within ${timeoutMs} ms`)));
      child.once('error', (cause) => {
        reason ??= failed(`failed: ${cause.message}`, cause);
      });
      // What the program left running may hold its output open: its exit is the end of the call.
      child.once('exit', () => killGroup(child.pid, process.kill));
      child.once('close', (code, killed) => {
        late.abort();
        signal.removeEventListener('abort', onAbort);
        if (reason) return reject(reason);
        if (code === 0) return resolve(printedText(file, output.text));
        reject(failed(`failed: ${words.text.trim().slice(-300) || `it ended with ${killed ?? code}`}`));
      });
      // A program that does not read its input closes the pipe; its exit says the rest.
      for (const stream of [child.stdin, child.stdio[guardDescriptor]]) stream?.on('error', () => {});
      child.stdin?.end(input);
    });
  }
}

const interrupted = (signal: AbortSignal): HildaError =>
  new HildaError('INTERRUPTED', 'the evaluation was aborted', { cause: signal.reason });

/** Calls `act` after a time unless the controller is aborted before. */
function setTimer(ms: number, act: () => void): AbortController {
  const done = new AbortController();
  systemClock.sleep(ms, { signal: done.signal }).then(act, () => {});
  return done;
}

/** What a program prints: the last bytes of it. */
class Tail {
  readonly #most: number;
  #bytes: Buffer = Buffer.alloc(0);
  isCut = false;

  constructor(most: number) {
    this.#most = most;
  }

  add(bytes: Buffer): void {
    const all = Buffer.concat([this.#bytes, bytes]);
    this.isCut ||= all.length > this.#most;
    this.#bytes = all.subarray(-this.#most);
  }

  get text(): string {
    return this.#bytes.toString('utf8');
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
