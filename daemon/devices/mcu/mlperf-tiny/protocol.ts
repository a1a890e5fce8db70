import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';

/** Between two `db` commands the firmware takes at most 80 characters; the official runner sends 31 bytes at a time. */
const bytesPerCommand = 31;
const attempts = 3;
const ready = 'm-ready';

export interface Inference {
  /** Mean of the inferences, microseconds. */
  readonly latencyUs: number;
  readonly results: readonly number[];
}

/**
 * The serial protocol of MLPerf Tiny's reference firmware (EEMBC's `ee_main`): commands end with `%`, replies are lines,
 * the last of which is `m-ready`. Errors: DEVICE_FAILED with what the firmware said (`e-[...]`) or when it is silent
 * (`details.unanswered`); DEVICE_GONE once the line is lost.
 */
export class MlperfTinyLine {
  readonly #transport: Transport;
  readonly #clock: Clock;
  #text = '';
  #lines: string[] = [];
  #lost: HildaError | undefined;
  #wake: () => void = () => {};

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
    transport.onBytes((bytes) => this.#hear(bytes));
    transport.onClose((reason) => {
      this.#lost = new HildaError('DEVICE_GONE', `the line to ${transport.name} is gone: ${reason}`, {
        hint: 'Plug the board in again; it is taken up by itself.',
      });
      this.#wake();
    });
  }

  /** What the firmware calls itself and the model it holds, e.g. `ic01`. */
  async identify(signal: AbortSignal): Promise<{ readonly name: string; readonly model: string }> {
    const said = async (command: string, pattern: RegExp): Promise<string> => {
      for (let attempt = 1; ; attempt++) {
        try {
          return find(await this.command(command, signal, 1000), pattern, command);
        } catch (error) {
          if (attempt === attempts) throw error;
        }
      }
    };
    return {
      name: await said('name', /^m-name-dut-\[(.*)\]$/),
      model: await said('profile', /^m-model-\[(.*)\]$/),
    };
  }

  /** Puts the input of the next inferences on the board. */
  async load(input: Uint8Array, signal: AbortSignal): Promise<void> {
    const expected = find(
      await this.command(`db load ${input.length}`, signal),
      /^m-\[Expecting (\d+) bytes\]$/,
      'db load',
    );
    if (Number(expected) !== input.length)
      throw new HildaError('DEVICE_FAILED', `the firmware expects ${expected} bytes, not ${input.length}`);
    let last: string[] = [];
    for (let at = 0; at < input.length; at += bytesPerCommand) {
      const hex = Buffer.from(input.subarray(at, at + bytesPerCommand))
        .toString('hex')
        .toUpperCase();
      last = await this.command(`db ${hex}`, signal);
    }
    find(last, /^(m-load-done)$/, 'db');
  }

  /** Always with the number of warm-up runs: what a firmware takes when it is left out differs from what it says. */
  async infer(runs: number, warmUp: number, signal: AbortSignal): Promise<Inference> {
    const lines = await this.command(`infer ${runs} ${warmUp}`, signal, 30_000);
    const [start, end] = lines.flatMap((line) => /^m-lap-us-(\d+)$/.exec(line)?.[1] ?? []).map(Number);
    if (start === undefined || end === undefined)
      throw new HildaError(
        'DEVICE_FAILED',
        'the firmware gave no times: it was built for energy measurement',
      );
    // A 32-bit count of microseconds: it wraps after 71 minutes.
    const us = (end - start + 2 ** 32) % 2 ** 32;
    return { latencyUs: us / runs, results: numbers(lines) };
  }

  async results(signal: AbortSignal): Promise<readonly number[]> {
    return numbers(await this.command('results', signal));
  }

  /** Sends one command and answers with its lines, without the closing `m-ready`. */
  async command(command: string, signal: AbortSignal, timeoutMs = 5000): Promise<string[]> {
    signal.throwIfAborted();
    if (this.#lost) throw this.#lost;
    this.#lines = [];
    await this.#transport.write(new TextEncoder().encode(`${command}%`));
    const lines = await this.#untilReady(command, timeoutMs, signal);
    const error = lines.find((line) => line.startsWith('e-['));
    if (error)
      throw new HildaError('DEVICE_FAILED', `the firmware refuses "${command.slice(0, 40)}": ${error}`);
    return lines;
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #untilReady(command: string, timeoutMs: number, signal: AbortSignal): Promise<string[]> {
    const late = new AbortController();
    let timedOut = false;
    this.#clock.sleep(timeoutMs, { signal: late.signal }).then(
      () => {
        timedOut = true;
        this.#wake();
      },
      () => {},
    );
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        const end = this.#lines.indexOf(ready);
        if (end >= 0) return this.#lines.slice(0, end);
        if (this.#lost) throw this.#lost;
        signal.throwIfAborted();
        if (timedOut) {
          throw new HildaError(
            'DEVICE_FAILED',
            `no "${ready}" after "${command.slice(0, 40)}" within ${timeoutMs} ms`,
            {
              hint: 'Is the MLPerf Tiny firmware running, and the baud rate 115,200 (9,600 for energy)?',
              details: { unanswered: true },
            },
          );
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      late.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  #hear(bytes: Uint8Array): void {
    this.#text += new TextDecoder('latin1').decode(bytes);
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    this.#lines.push(...lines.map((line) => line.replace(/\r$/, '')));
    this.#wake();
  }
}

function find(lines: readonly string[], pattern: RegExp, command: string): string {
  const found = lines.flatMap((line) => pattern.exec(line)?.[1] ?? [])[0];
  if (found === undefined)
    throw new HildaError(
      'DEVICE_FAILED',
      `the firmware's answer to "${command}" is not MLPerf Tiny's: ${lines.join(' ')}`,
    );
  return found;
}

const numbers = (lines: readonly string[]): number[] => {
  const list = lines.flatMap((line) => /^m-results-\[(.*)\]$/.exec(line)?.[1] ?? [])[0];
  return list ? list.split(',').map(Number) : [];
};
