import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import type { Rng } from '../../../core/rng.js';
import type { BoardBehind } from './faulty-port.js';

/** What a scripted board is and how it misbehaves. */
export interface ScriptedMlperfOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  /** Time of one inference, microseconds: the value that a measurement must find. */
  readonly us?: number;
  readonly name?: string;
  readonly model?: string;
  /** What ends its lines, `\r\n` by default. */
  readonly lineEnd?: string;
  /** What stands before and after a prompt; the line end by default. */
  readonly promptBefore?: string;
  readonly promptAfter?: string;
  /** It repeats each character that it hears. */
  readonly echo?: boolean;
  /** After a start it hears nothing for so long; what it hears then it answers later if it keeps it. */
  readonly bootMs?: number;
  readonly keepsEarly?: boolean;
  /** What it says when it has started; the reference firmware's lines by default. */
  readonly bootText?: readonly string[];
  readonly resetsOnOpen?: boolean;
  /** Says a line of its operating system now and then. */
  readonly chattyMs?: number;
  /** Relative standard deviation of the times. */
  readonly jitter?: number;
  /** Each inference makes the next ones slower by this share. */
  readonly driftPerRun?: number;
  /** From so many inferences on each takes `throttleBy` times as long. */
  readonly throttleAfterRuns?: number;
  readonly throttleBy?: number;
  /** Before each answer. */
  readonly replyMs?: number;
  /** The time stamps count in this many microseconds, e.g. 0.001 where the firmware gives milliseconds. */
  readonly stampsPerUs?: number;
  /** At each so many-th time stamp its clock jumps by `jumpUs`. */
  readonly jumpEvery?: number;
  readonly jumpUs?: number;
  /** Built for energy measurement: no time stamps. */
  readonly energy?: boolean;
  /** Outputs differ from run to run. */
  readonly randomOutputs?: boolean;
}

const bootLines = ['m-timestamp-mode-performance', 'm-lap-us-0', 'Initialized', 'm-init-done'];

/**
 * A board with MLPerf Tiny's reference firmware as its sources describe it, in this process and on an injected clock: what
 * it computes takes the clock's time. Its own clock stands shortly before the wrap of its 32 bits.
 */
export class ScriptedMlperfBoard implements BoardBehind {
  /** May be changed while it runs. */
  behaviour: ScriptedMlperfOptions;
  #host: ((bytes: Uint8Array) => void) | undefined;
  #text = '';
  #commands: string[] = [];
  #working = false;
  #life = new AbortController();
  #bootedMs = 0;
  #stampUs = 2 ** 32 - 30_000;
  #stamps = 0;
  #expected = 0;
  #received = 0;
  #loaded: string | undefined;
  #runs = 0;
  #outputs = 'm-results-[0.000,0.000]';

  constructor(behaviour: ScriptedMlperfOptions) {
    this.behaviour = behaviour;
    this.#bootedMs = behaviour.clock.nowMs();
  }

  async open(): Promise<Transport> {
    const send = (bytes: Uint8Array): void => heard(bytes);
    let heard: (bytes: Uint8Array) => void = () => {};
    this.#host = send;
    if (this.behaviour.resetsOnOpen) await this.reset();
    void this.#chat(send);
    return {
      name: 'scripted MLPerf Tiny board',
      write: async (bytes) => this.#hear(bytes),
      onBytes: (listener) => {
        heard = listener;
      },
      onClose: () => {},
      close: async () => {
        heard = () => {};
        if (this.#host === send) this.#host = undefined;
      },
    };
  }

  async reset(): Promise<void> {
    const { clock, bootMs = 0, bootText = bootLines } = this.behaviour;
    this.#life.abort();
    this.#life = new AbortController();
    this.#text = '';
    this.#commands = [];
    this.#working = false;
    this.#loaded = undefined;
    this.#stampUs = 0;
    this.#bootedMs = clock.nowMs() + bootMs;
    const { signal } = this.#life;
    void clock.sleep(bootMs, { signal }).then(
      () => {
        if (bootText.length > 0) this.#say(bootText);
        void this.#work();
      },
      () => {},
    );
  }

  /** Forgets how warm it is. */
  cool(): void {
    this.#runs = 0;
  }

  #hear(bytes: Uint8Array): void {
    const { clock, keepsEarly = false, echo = false } = this.behaviour;
    if (clock.nowMs() < this.#bootedMs && !keepsEarly) return;
    if (echo) this.#send(bytes);
    this.#text += String.fromCharCode(...bytes);
    const parts = this.#text.split('%');
    this.#text = (parts.pop() ?? '').slice(-200);
    // Its buffer holds 80 characters: what is longer loses its end.
    this.#commands.push(...parts.map((part) => part.slice(0, 80)));
    if (clock.nowMs() >= this.#bootedMs) void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    const { signal } = this.#life;
    try {
      for (let command = this.#commands.shift(); command !== undefined; command = this.#commands.shift()) {
        const { clock, replyMs = 1 } = this.behaviour;
        await clock.sleep(replyMs, { signal });
        await this.#obey(command, signal);
      }
    } catch {
      // It was reset.
    } finally {
      if (!signal.aborted) this.#working = false;
    }
  }

  async #obey(command: string, signal: AbortSignal): Promise<void> {
    const { name = 'scripted board', model = 'ic01' } = this.behaviour;
    const [verb, first = '', second] = command.trim().split(/\s+/);
    if (verb === 'name') return this.#say([`m-name-dut-[${name}]`]);
    if (verb === 'profile')
      return this.#say(['m-profile-[ULPMark for tinyML Firmware V0.0.1]', `m-model-[${model}]`]);
    if (verb === 'db' && first === 'load') {
      this.#expected = Number(second) || 0;
      this.#received = 0;
      this.#loaded = '';
      return this.#say([`m-[Expecting ${this.#expected} bytes]`]);
    }
    if (verb === 'db') {
      this.#received += Math.floor(first.length / 2);
      this.#loaded += first;
      return this.#say(this.#received >= this.#expected ? ['m-load-done'] : []);
    }
    if (verb === 'infer') return this.#infer(Number(first) || 1, Number(second ?? 10) || 0, signal);
    if (verb === 'results') return this.#say([this.#outputs]);
    return this.#say([`e-[Unknown command: ${command}]`]);
  }

  async #infer(runs: number, warmUp: number, signal: AbortSignal): Promise<void> {
    const { energy = false } = this.behaviour;
    this.#print([`m-warmup-start-${warmUp}`]);
    await this.#compute(warmUp, signal);
    this.#print(['m-warmup-done', `m-infer-start-${runs}`]);
    if (!energy) this.#print([this.#stamp()]);
    await this.#compute(runs, signal);
    this.#outputs = this.#results();
    this.#say([...(energy ? [] : [this.#stamp()]), 'm-infer-done', this.#outputs]);
  }

  async #compute(runs: number, signal: AbortSignal): Promise<void> {
    if (runs === 0) return;
    const { clock, rng, us = 12_345, jitter = 0, driftPerRun = 0, stampsPerUs = 1 } = this.behaviour;
    const { throttleAfterRuns = Number.POSITIVE_INFINITY, throttleBy = 2 } = this.behaviour;
    const slow = this.#runs >= throttleAfterRuns ? throttleBy : 1;
    const warm = 1 + driftPerRun * (this.#runs + runs / 2);
    // The mean of so many runs jitters by as much as the whole of them: slow disturbances, not white noise.
    const took = us * runs * slow * warm * (1 + jitter * gaussian(rng));
    this.#runs += runs;
    await clock.sleep(took / 1000, { signal });
    this.#stampUs = (this.#stampUs + took * stampsPerUs) % 2 ** 32;
  }

  #stamp(): string {
    const { jumpEvery = 0, jumpUs = 0 } = this.behaviour;
    this.#stamps++;
    if (jumpEvery > 0 && this.#stamps % jumpEvery === 0)
      this.#stampUs = (this.#stampUs + jumpUs + 2 ** 32) % 2 ** 32;
    return `m-lap-us-${Math.floor(this.#stampUs)}`;
  }

  #results(): string {
    const { rng, randomOutputs = false } = this.behaviour;
    const loaded = this.#loaded?.length ?? 0;
    const sum = randomOutputs ? rng.next() : ((loaded % 97) + 1) / 100;
    return `m-results-[${sum.toFixed(3)},${(1 - sum).toFixed(3)}]`;
  }

  /** Lines and the prompt. */
  #say(lines: readonly string[]): void {
    const { lineEnd = '\r\n', promptBefore, promptAfter = lineEnd } = this.behaviour;
    const text = lines.map((line, i) => {
      const last = i === lines.length - 1 && promptBefore !== undefined;
      return `${line}${last ? promptBefore : lineEnd}`;
    });
    this.#send(new TextEncoder().encode(`${text.join('')}m-ready${promptAfter}`));
  }

  #print(lines: readonly string[]): void {
    const { lineEnd = '\r\n' } = this.behaviour;
    this.#send(new TextEncoder().encode(lines.map((line) => `${line}${lineEnd}`).join('')));
  }

  #send(bytes: Uint8Array): void {
    this.#host?.(bytes);
  }

  /** While this opening of the line lasts. */
  async #chat(send: (bytes: Uint8Array) => void): Promise<void> {
    for (;;) {
      const { clock, chattyMs } = this.behaviour;
      if (chattyMs === undefined || this.#host !== send) return;
      this.#print(['I (1234) wifi: station connected, rssi -61']);
      await clock.sleep(chattyMs);
    }
  }
}

/** Box and Muller's transform (1958). */
const gaussian = (rng: Rng): number =>
  Math.sqrt(-2 * Math.log(1 - rng.next())) * Math.cos(2 * Math.PI * rng.next());
