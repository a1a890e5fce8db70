import { crc32 } from 'node:zlib';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { abi } from '../../firmware-bridge/compiler/layout/format.js';
import { encodeFrame, type Frame, FrameDecoder } from '../../firmware-bridge/link/frames.js';
import type { Transport } from '../../firmware-bridge/link/index.js';
import { kinds, pack, refusals, viewOf } from '../../firmware-bridge/link/messages.js';

/** One operator of one run, before what the script makes of its ticks. */
export interface ScriptedTicks {
  /** Runs since the board started, from 0; of all programs. */
  readonly run: number;
  readonly operator: number;
  readonly operators: number;
  readonly base: number;
}

export interface ScriptedBoardOptions {
  readonly name?: string;
  /** 32 hexadecimal digits. */
  readonly chipId?: string;
  /** How far its clock may be off, in millionths; null: firmware that does not say. */
  readonly clockPpm?: number | null;
  /** 1: firmware that knows no progress, no report, and refuses a hello while it is at work. */
  readonly linkVersion?: 1 | 2;
  /** Knows the request `loader`, and leaves the line for it. Others answer that they do not know it. */
  readonly loader?: boolean;
  readonly clock?: Clock;
  /** How long a run lasts; at once unless said. */
  readonly runMs?: number;
  /** How long the pool takes; silent throughout with link version 1, or where the script says so. */
  readonly fillMs?: number;
  readonly silentFill?: boolean;
  readonly ticks?: (of: ScriptedTicks) => number;
  /** What the run's report says of its total, where that is not the sum. */
  readonly total?: (sum: number, run: number) => number;
  readonly outputCrc?: (run: number) => number;
  readonly arenaPeak?: (planned: number, run: number) => number;
  /** False: the frame gets lost. */
  readonly toBoard?: (frame: Frame) => boolean;
  readonly toHost?: (frame: Frame) => boolean;
  /** Refuses a run by this error of hilda_run; 0 lets it be. */
  readonly refuseRun?: (run: number, operators: number) => number;
}

/** A request that lasts. */
interface Work {
  readonly kind: number;
  readonly request: number;
  readonly session: number;
  readonly over: AbortController;
}

type Refusal = readonly [refusal: (typeof refusals)[number], detail: number];

const operatorCodes = { loop: 16, window: 17 };
const workBytes = 512 * 1024;
const poolBytes = 256 * 1024;

/** A real board as the host sees it: LINK.md without hardware, with ticks and faults by script. Nothing is computed. */
export class ScriptedBoard {
  readonly options: ScriptedBoardOptions;
  /** Kinds of the frames that arrived, in order. */
  readonly heard: number[] = [];
  runs = 0;
  readonly #decoder = new FrameDecoder();
  #listener: (bytes: Uint8Array) => void = () => {};
  #lost: (reason: string) => void = () => {};
  #session = 0;
  #last = 0;
  #upload = { slot: 0, bytes: new Uint8Array(0), received: 0, crc: 0 };
  #programs = new Map<number, Uint8Array>();
  #seed = 0;
  #ticks: number[] = [];
  #work: Work | undefined;
  #lastRun: { readonly work: Work; readonly code: number; readonly report: Uint8Array } | undefined;

  constructor(options: ScriptedBoardOptions = {}) {
    this.options = options;
  }

  /** Its line; a second one replaces the first. */
  line(): Transport {
    return {
      name: 'scripted board',
      write: async (bytes) => {
        for (const frame of this.#decoder.push(bytes))
          if (this.options.toBoard?.(frame) ?? true) queueMicrotask(() => this.#take(frame));
      },
      onBytes: (listener) => {
        this.#listener = listener;
      },
      onClose: (listener) => {
        this.#lost = listener;
      },
      close: async () => {},
    };
  }

  unplug(): void {
    this.#lost('it was unplugged');
  }

  /** Starts anew, as after a fault or a loss of power; RAM is empty, the flash as it was. */
  reset(reason = 2): void {
    this.#work?.over.abort();
    this.#work = this.#lastRun = undefined;
    this.#session = this.#last = 0;
    this.#programs.clear();
    this.#ticks = [];
    this.say({ kind: kinds.boot, request: 0, session: 0, payload: pack([reason, 8]) });
  }

  say(frame: Frame): void {
    if (this.options.toHost?.(frame) ?? true) this.#listener(encodeFrame(frame));
  }

  #take(frame: Frame): void {
    const { kind, request, session, payload } = frame;
    this.heard.push(kind);
    const refuse = (refusal: (typeof refusals)[number], detail = 0): void =>
      this.say({
        kind: kinds.error,
        request,
        session,
        payload: pack([kind, 8], [refusals.indexOf(refusal), 8], [0, 16], [detail, 32]),
      });
    if (kind === kinds.hello && session !== this.#session) this.#session = session;
    else {
      const foreign = session !== this.#session || session === 0;
      const replayed = ((request - this.#last) & 0xffff) - 1 >= 0x7fff;
      if (foreign) refuse('session');
      else if (replayed) refuse('replayed', this.#last);
      if (foreign || replayed) return;
    }
    this.#last = request;
    const work = this.#work;
    if (work) {
      const state = pack([work.kind === kinds.run ? 1 : 2, 8], [0, 8], [0, 16], [0, 32]);
      if (this.#deaf(work)) return;
      if (kind === kinds.ping) this.#answer(frame, state);
      if (kind === kinds.cancel) this.#answer(frame, pack());
      const ends = kind === kinds.cancel || (kind === kinds.hello && this.#version === 2);
      if (!ends && kind !== kinds.ping) refuse('busy');
      if (ends) this.#end(work, ['cancelled', 0]);
      if (!ends || kind === kinds.cancel) return;
    }
    const lasts = kind === kinds.run ? this.options.runMs : kind === kinds.fill ? this.#fillMs(payload) : 0;
    if (lasts) this.#start(frame, lasts);
    else this.#answer(frame, this.#serve(frame));
  }

  get #version(): 1 | 2 {
    return this.options.linkVersion ?? 2;
  }

  #fillMs(payload: Uint8Array): number {
    return payload[0] === 1 && this.#seed === 0 ? (this.options.fillMs ?? 0) : 0;
  }

  #deaf({ kind }: Work): boolean {
    return kind === kinds.fill && (this.#version === 1 || this.options.silentFill === true);
  }

  #answer(
    { kind, request, session }: Pick<Frame, 'kind' | 'request' | 'session'>,
    answer: Uint8Array | Refusal,
  ): void {
    if (answer instanceof Uint8Array)
      this.say({ kind: kind | kinds.reply, request, session, payload: answer });
    else
      this.say({
        kind: kinds.error,
        request,
        session,
        payload: pack([kind, 8], [refusals.indexOf(answer[0]), 8], [0, 16], [answer[1], 32]),
      });
  }

  /** Works at a request, with progress now and then, and answers it in the end. */
  #start(frame: Frame, lastsMs: number): void {
    const { kind, request, session } = frame;
    const work = { kind, request, session, over: new AbortController() };
    const clock = this.options.clock ?? systemClock;
    this.#work = work;
    const { signal } = work.over;
    const steps = kind === kinds.fill && !this.#deaf(work) ? 10 : 1;
    const run = async (): Promise<void> => {
      for (let step = 0; step < steps; step++) {
        if (steps > 1)
          this.say({ kind: kinds.progress, request, session, payload: pack([step, 32], [steps, 32]) });
        await clock.sleep(lastsMs / steps, { signal });
      }
      this.#end(work, this.#serve(frame));
    };
    run().catch(() => {});
  }

  #end(work: Work, answer: Uint8Array | Refusal): void {
    this.#work = undefined;
    work.over.abort();
    this.#answer(work, answer);
    if (work.kind !== kinds.run) return;
    const code = answer instanceof Uint8Array ? 0 : refusals.indexOf(answer[0]);
    this.#lastRun = { work, code, report: answer instanceof Uint8Array ? answer : new Uint8Array(28) };
  }

  #serve(frame: Frame): Uint8Array | Refusal {
    const { kind, payload } = frame;
    const view = viewOf(payload);
    switch (kind) {
      case kinds.hello:
        return this.#hello();
      case kinds.ping:
        return pack([0, 8], [0, 8], [0, 16], [0, 32]);
      case kinds.echo:
        return payload;
      case kinds.fill:
        if (payload[0] === 1) this.#seed = view.getUint32(9, true);
        return pack([0, 32]);
      case kinds.read:
        return new Uint8Array(view.getUint16(5, true));
      case kinds.write:
      case kinds.cancel:
        return pack();
      case kinds.begin:
        return this.#begin(view);
      case kinds.data: {
        const offset = view.getUint32(0, true);
        if (offset > this.#upload.received) return ['order', this.#upload.received];
        this.#upload.bytes.set(payload.subarray(4), offset);
        this.#upload.received = Math.max(this.#upload.received, offset + payload.length - 4);
        return pack([this.#upload.received, 32]);
      }
      case kinds.finish:
        return this.#finish();
      case kinds.run: {
        const answer = this.#run(view);
        const code = answer instanceof Uint8Array ? 0 : refusals.indexOf(answer[0]);
        const report = answer instanceof Uint8Array ? answer : new Uint8Array(28);
        this.#lastRun = { work: { ...frame, over: new AbortController() }, code, report };
        return answer;
      }
      case kinds.report: {
        const last = this.#lastRun;
        if (this.#version === 1) return ['unknown', 0];
        if (last?.work.session !== this.#session) return ['noProgram', 0];
        return pack([last.work.request, 16], [last.code, 8], [0, 8], [0, 16], [0, 16], [0, 32], last.report);
      }
      case kinds.ticks: {
        const [first, count] = [view.getUint16(0, true), view.getUint16(2, true)];
        if (first + count > this.#ticks.length) return ['range', this.#ticks.length];
        return pack(...this.#ticks.slice(first, first + count).map((ticks) => [ticks, 32] as const));
      }
      case kinds.loader:
        if (!this.options.loader) return ['unknown', 0];
        queueMicrotask(() => this.unplug());
        return pack();
      default:
        return ['unknown', 0];
    }
  }

  #hello(): Uint8Array {
    const {
      name = 'nucleo-l4r5zi',
      chipId = '0123456789abcdef0123456789abcdef',
      clockPpm = 100,
    } = this.options;
    const text = new TextEncoder().encode(name);
    const words = [120e6, 120e6, workBytes, poolBytes, this.#seed, 768 * 1024, 0, 0, 128 * 1024, 0x410fc241];
    return pack(
      [this.#version, 16],
      [abi, 16],
      ...words.map((word) => [word, 32] as const),
      [1032, 16],
      [4096, 16],
      [0, 8],
      [1, 8],
      [0, 8],
      [2, 8],
      [0, 32],
      Uint8Array.from(Buffer.from(chipId, 'hex')),
      new Uint8Array(32).fill(7),
      [text.length, 8],
      text,
      ...(clockPpm === null ? [] : [[clockPpm, 32] as const]),
    );
  }

  #begin(view: DataView): Uint8Array {
    const [slot, bytes, crc] = [view.getUint8(0), view.getUint32(4, true), view.getUint32(8, true)];
    if (this.#upload.crc !== crc || this.#upload.bytes.length !== bytes)
      this.#upload = { slot, bytes: new Uint8Array(bytes), received: 0, crc };
    return pack([this.#upload.received, 32], [4096, 32]);
  }

  #finish(): Uint8Array | Refusal {
    const { slot, bytes, crc } = this.#upload;
    if (crc32(bytes) !== crc) return ['checksum', 0];
    this.#programs.set(slot, bytes);
    this.#upload = { slot: 0, bytes: new Uint8Array(0), received: 0, crc: 0 };
    const header = viewOf(bytes);
    const word = (at: number): [number, 32] => [header.getUint32(at, true), 32];
    return pack([0, 32], [0, 32], word(24), word(12), word(32), word(36), word(40), word(44));
  }

  #run(view: DataView): Uint8Array | Refusal {
    const program = this.#programs.get(view.getUint8(0));
    if (!program) return ['noProgram', 0];
    const header = viewOf(program);
    const operators = header.getUint32(12, true);
    const run = this.runs++;
    const error = this.options.refuseRun?.(run, operators) ?? 0;
    if (error !== 0) return ['refused', error];
    const { ticks = ({ base }: ScriptedTicks) => base } = this.options;
    this.#ticks = new Array(operators).fill(0);
    for (let operator = 0; operator < operators; operator++) {
      const at = 64 + 96 * operator;
      // Some millions: more than any network of the tests multiplies.
      this.#ticks[operator] = ticks({ run, operator, operators, base: 2_000_000 + 1000 * operator });
      const isGroup = program[at] === operatorCodes.loop || program[at] === operatorCodes.window;
      if (isGroup) operator += header.getUint16(at + 10, true);
    }
    const sum = this.#ticks.reduce((total, count) => total + count, 0);
    const total = this.options.total?.(sum, run) ?? sum;
    const painted = view.getUint8(1) & 1;
    const planned = header.getUint32(24, true);
    const peak = painted ? (this.options.arenaPeak?.(planned, run) ?? planned) : 0;
    return pack(
      [total % 2 ** 32, 32],
      [Math.floor(total / 2 ** 32), 32],
      [operators, 32],
      [peak, 32],
      [painted ? 800 : 0, 32],
      [this.options.outputCrc?.(run) ?? 77, 32],
      [12, 32],
    );
  }
}
