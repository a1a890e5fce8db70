import { encodeFrame, type Frame, FrameDecoder } from '../../../../firmware-bridge/link/frames.js';
import type { Transport } from '../../../../firmware-bridge/link/index.js';
import { kinds } from '../../../../firmware-bridge/link/messages.js';
import type { Clock } from '../../../core/clock.js';
import { type Rng, randomInt } from '../../../core/rng.js';
import type { BoardBehind } from './faulty-port.js';

/** What a board with hilda's firmware says in place of the truth. */
export interface FrameFaults {
  /** Each operator's ticks are this many more at most. */
  readonly tickNoise?: number;
  /** Each run takes this share more ticks than the one before. */
  readonly driftPerRun?: number;
  /** So many replies to runs are lost. */
  readonly loseRunReplies?: number;
  /** From the start of a fill on it says nothing for so long. */
  readonly busyAtFillMs?: number;
  /** What it calls itself. */
  readonly board?: string;
}

export interface AlteredBoardOptions {
  readonly board: BoardBehind;
  readonly clock: Clock;
  readonly rng: Rng;
  /** The emulated board says that it counts cycles of its own core, as one of silicon does: it is measured as one. */
  readonly asSilicon?: boolean;
}

const helloTickUnit = 50;
const helloName = 104;

/** A board of hilda's whose frames are read and changed on the way; all others pass as they are. */
export class AlteredBoard implements BoardBehind {
  faults: FrameFaults = {};
  readonly #options: AlteredBoardOptions;
  #lostReplies = 0;
  #runs = 0;
  #busy: Promise<void> | undefined;

  readonly reset?: () => Promise<void>;

  constructor(options: AlteredBoardOptions) {
    this.#options = options;
    const { board } = options;
    if (board.reset) this.reset = async () => board.reset?.();
  }

  strike(faults: FrameFaults): void {
    this.faults = faults;
    this.#lostReplies = 0;
    this.#runs = 0;
  }

  async open(): Promise<Transport> {
    const inner = await this.#options.board.open();
    const out = new FrameDecoder();
    const back = new FrameDecoder();
    let order = Promise.resolve();
    return {
      ...inner,
      write: async (bytes) => {
        for (const frame of out.push(bytes)) this.#sent(frame);
        await inner.write(bytes);
      },
      onBytes: (listener) =>
        inner.onBytes((bytes) => {
          for (const frame of back.push(bytes)) {
            const wire = this.#alter(frame);
            const busy = this.#busy;
            order = order.then(() => busy).then(() => wire && listener(wire));
          }
        }),
    };
  }

  #sent({ kind }: Frame): void {
    const { busyAtFillMs } = this.faults;
    if (kind === kinds.run) this.#runs++;
    if (kind !== kinds.fill || !busyAtFillMs || this.#busy) return;
    this.#busy = this.#options.clock.sleep(busyAtFillMs).then(() => {
      this.#busy = undefined;
    });
  }

  /** The bytes that arrive for a frame; undefined where it is lost. */
  #alter(frame: Frame): Uint8Array | undefined {
    const payload = frame.payload.slice();
    const view = new DataView(payload.buffer);
    const { board, loseRunReplies = 0 } = this.faults;
    if (frame.kind === (kinds.run | kinds.reply)) {
      if (this.#lostReplies < loseRunReplies) {
        this.#lostReplies++;
        return undefined;
      }
      this.#alterTotal(view);
    }
    if (frame.kind === (kinds.ticks | kinds.reply)) this.#alterTicks(view);
    if (frame.kind !== (kinds.hello | kinds.reply)) return encodeFrame({ ...frame, payload });
    if (this.#options.asSilicon && payload.length > helloTickUnit) view.setUint8(helloTickUnit, 0);
    return encodeFrame({ ...frame, payload: board ? renamed(payload, board) : payload });
  }

  get #factor(): number {
    return 1 + (this.faults.driftPerRun ?? 0) * this.#runs;
  }

  #alterTicks(view: DataView): void {
    const { tickNoise = 0 } = this.faults;
    for (let at = 0; at + 4 <= view.byteLength; at += 4) {
      const ticks = view.getUint32(at, true);
      // 0 stands for a member of a group.
      const noise = ticks > 0 && tickNoise > 0 ? randomInt(this.#options.rng, tickNoise + 1) : 0;
      view.setUint32(at, Math.round(ticks * this.#factor) + noise, true);
    }
  }

  #alterTotal(view: DataView): void {
    const ticks = view.getBigUint64(0, true);
    view.setBigUint64(0, BigInt(Math.round(Number(ticks) * this.#factor)), true);
  }
}

function renamed(payload: Uint8Array, board: string): Uint8Array {
  const name = new TextEncoder().encode(board);
  const out = new Uint8Array(helloName + 1 + name.length);
  out.set(payload.subarray(0, helloName));
  out[helloName] = name.length;
  out.set(name, helloName + 1);
  return out;
}
