import type { Clock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import { mostWithinUs } from '../told-times.js';
import { type AdbServer, quoted } from './adb-server.js';
import type { CoreChoice } from './cores.js';
import { clocksCommand } from './phone-state.js';
import { leastTotalUs, type RunnerReport, unreadable } from './runners/report.js';
import { runLine, runOutput } from './runners/run-line.js';
import type { Runner } from './runners/runner.js';
import { runnerFailure } from './runners/runner-failure.js';
import { cpuList, readCpuList } from './sysfs.js';

export interface PhoneRunnerOptions {
  readonly adb: AdbServer;
  readonly serial: string;
  readonly runner: Runner;
  readonly cores: CoreChoice | null;
  readonly target: { readonly threads: number };
  readonly clock: Clock;
  /** Of one run of the program; 60 s by default. */
  readonly timeoutMs?: number;
}

/** Where programs may be put and run on a phone that nobody rooted. */
const phoneFolder = '/data/local/tmp/hilda';

const pushMs = 120_000;

/** A runner's files on a phone, and its runs. */
export class PhoneRunner {
  readonly #options: PhoneRunnerOptions;
  #ready = false;

  constructor(options: PhoneRunnerOptions) {
    this.#options = options;
  }

  async putModel(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { adb, serial } = this.#options;
    if (!this.#ready) await this.#prepare(signal);
    await adb.push(serial, this.#modelPath(name), bytes, 0o644, { signal, timeoutMs: pushMs });
  }

  /** One run of the program, and the clocks at its end. Throws what `runnerFailure` gives and RUNNER_OUTPUT_INVALID. */
  async run(
    name: string,
    runs: number,
    signal: AbortSignal,
  ): Promise<{ readonly report: RunnerReport; readonly clocks: string }> {
    const { adb, serial, runner, cores, target, clock, timeoutMs = 60_000 } = this.#options;
    const result = `${phoneFolder}/result`;
    const order = {
      folder: phoneFolder,
      model: this.#modelPath(name),
      runs,
      threads: target.threads,
      result,
    };
    const line = runLine({
      folder: phoneFolder,
      args: runner.command(order),
      result,
      mask: cores?.mask ?? null,
      clocks: clocksCommand(cores?.cores ?? null),
    });
    const startUs = clock.monotonicUs();
    const answer = await adb.shell(serial, line, { signal, timeoutMs });
    const elapsedUs = clock.monotonicUs() - startUs;
    const { output, clocks } = runOutput(answer);
    if (answer.exitCode !== 0)
      throw runnerFailure({
        runner: runner.name,
        exitCode: answer.exitCode,
        stdout: output.stdout,
        stderr: output.stderr,
      });
    const report = runner.read(output);
    if (report.runs !== null && report.runs !== runs)
      throw new HildaError(
        'RUNNER_OUTPUT_INVALID',
        `${runner.name}: it was told to run ${runs} times and counts ${report.runs}`,
      );
    const toldUs = leastTotalUs(report, runs);
    if (toldUs > mostWithinUs(elapsedUs))
      throw unreadable(
        runner.name,
        `its ${runs} runs took ${toldUs.toPrecision(4)} us by what it printed, and the whole program ${elapsedUs.toPrecision(4)} us`,
        output.stdout,
      );
    return { report, clocks };
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { adb, serial, runner } = this.#options;
    await this.#shell(`mkdir -p ${phoneFolder}`, signal);
    for (const [i, { name, bytes }] of runner.files.entries())
      await adb.push(serial, `${phoneFolder}/${name}`, bytes, i === 0 ? 0o755 : 0o644, {
        signal,
        timeoutMs: pushMs,
      });
    await this.#checkCores(signal);
    if (runner.help) {
      const program = `${phoneFolder}/${runner.files[0]?.name}`;
      const args = [program, ...runner.help.args].map(quoted).join(' ');
      const { stdout, stderr } = await adb.shell(serial, `LD_LIBRARY_PATH=${phoneFolder} ${args}`, {
        signal,
      });
      runner.help.heard(stdout + stderr);
    }
    this.#ready = true;
  }

  /** The kernel may allow a shell fewer cores than were asked for: then the times would be those of others. */
  async #checkCores(signal: AbortSignal): Promise<void> {
    const { cores } = this.#options;
    if (!cores) return;
    const text = await this.#shell(`taskset ${cores.mask} grep Cpus_allowed_list /proc/self/status`, signal);
    const allowed = readCpuList(/Cpus_allowed_list:\s*(\S+)/.exec(text)?.[1] ?? '');
    if (allowed !== null && cpuList(allowed) === cpuList(cores.cores)) return;
    throw new HildaError(
      'DEVICE_FAILED',
      `cores ${cpuList(cores.cores)} were asked for, and the phone gives ${allowed ? cpuList(allowed) : 'no answer'}`,
      { hint: 'Choose other cores, or none: `hilda doctor` shows what the phone has.' },
    );
  }

  async #shell(command: string, signal: AbortSignal): Promise<string> {
    const { adb, serial } = this.#options;
    const { stdout, stderr, exitCode } = await adb.shell(serial, command, { signal });
    if (exitCode !== 0) throw runnerFailure({ runner: command, exitCode, stdout, stderr });
    return stdout;
  }

  #modelPath = (name: string): string => `${phoneFolder}/${name}.${this.#options.runner.takes}`;
}
