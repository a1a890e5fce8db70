import { encodeFrame, type Frame, FrameDecoder } from '../../../../firmware-bridge/link/frames.js';
import type { Transport } from '../../../../firmware-bridge/link/index.js';
import { kinds, linkVersions, pack, spaces } from '../../../../firmware-bridge/link/messages.js';
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
  /** A fill takes so long; meanwhile it answers pings and tells how far it is. */
  readonly slowFillMs?: number;
  /** It has firmware of before progress: it says nothing during a fill. */
  readonly oldFirmware?: boolean;
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
const progressMs = 500;

/** A board of hilda's whose frames are read and changed on the way; all others pass as they are. */
export class AlteredBoard implements BoardBehind {
  faults: FrameFaults = {};
  readonly #options: AlteredBoardOptions;
  #lostReplies = 0;
  #runs = 0;
  /** While a slow fill lasts. */
  #filling: Promise<void> | undefined;

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
    let listener: (bytes: Uint8Array) => void = () => {};
    let order = Promise.resolve();
    const deliver = (wire: Uint8Array): void => listener(wire);
    return {
      ...inner,
      write: async (bytes) => {
        for (const frame of out.push(bytes)) this.#sent(frame, deliver);
        await inner.write(bytes);
      },
      onBytes: (heard) => {
        listener = heard;
        inner.onBytes((bytes) => {
          for (const frame of back.push(bytes)) {
            const wire = this.#alter(frame);
            if (!wire) continue;
            const held = frame.kind === (kinds.fill | kinds.reply);
            if (!held || !this.#filling) order = order.then(() => deliver(wire));
            else if (this.faults.oldFirmware)
              order = order.then(() => this.#filling).then(() => deliver(wire));
            else void this.#filling.then(() => deliver(wire));
          }
        });
      },
    };
  }

  #sent({ kind, request, session, payload: asked }: Frame, deliver: (wire: Uint8Array) => void): void {
    const { slowFillMs, oldFirmware } = this.faults;
    if (kind === kinds.run) this.#runs++;
    if (kind !== kinds.fill || asked[0] !== spaces.pool || !slowFillMs || this.#filling) return;
    const { clock } = this.#options;
    const work = async (): Promise<void> => {
      for (let done = 0; done < slowFillMs; done += progressMs) {
        await clock.sleep(progressMs);
        const payload = pack([done, 32], [slowFillMs, 32]);
        if (!oldFirmware) deliver(encodeFrame({ kind: kinds.progress, request, session, payload }));
      }
      this.#filling = undefined;
    };
    this.#filling = work();
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
    if (this.faults.oldFirmware) view.setUint16(0, linkVersions.oldest, true);
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
  const after = payload.subarray(helloName + 1 + (payload[helloName] ?? 0));
  return Buffer.concat([payload.subarray(0, helloName), Uint8Array.of(name.length), name, after]);
}
