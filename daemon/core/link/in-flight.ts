import type { Departure } from './line-rate.js';

/** A piece that was sent and not acknowledged yet. */
export interface FlyingPiece {
  readonly transfer: number;
  /** Of its transfer's bytes, how many are there once it arrived. */
  readonly end: number;
  readonly bytes: number;
  readonly departure: Departure;
  /** Nothing else was on its way when it left. */
  readonly alone: boolean;
}

/** The pieces of one connection that are on their way, of all its transfers. */
export class InFlight {
  #pieces: FlyingPiece[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  add(piece: FlyingPiece): void {
    this.#pieces.push(piece);
    this.#bytes += piece.bytes;
  }

  /** Takes out those that an acknowledgement covers. */
  arrived(transfer: number, bytes: number): readonly FlyingPiece[] {
    return this.#takeOut((piece) => piece.transfer === transfer && piece.end <= bytes);
  }

  /** Nothing of the transfer is waited for. */
  forget(transfer: number): void {
    this.#takeOut((piece) => piece.transfer === transfer);
  }

  clear(): void {
    this.#takeOut(() => true);
  }

  #takeOut(goes: (piece: FlyingPiece) => boolean): readonly FlyingPiece[] {
    const out = this.#pieces.filter(goes);
    if (out.length === 0) return out;
    this.#pieces = this.#pieces.filter((piece) => !goes(piece));
    this.#bytes = this.#pieces.reduce((sum, { bytes }) => sum + bytes, 0);
    return out;
  }
}
