/** Words that the board's thread and its owner share. */
export const control = {
  /** Of `orders`; the thread sets it back to none when it has obeyed. */
  order: 0,
  /** Rises with every byte and order: what the sleeping thread waits on. */
  wake: 1,
  /** Milliseconds of the thread's time that went into executing instructions. */
  busyMs: 2,
  words: 3,
} as const;

/** Bits: one order does not undo another that was not yet obeyed. */
export const orders = { none: 0, stop: 1, cutPower: 2, halt: 4 } as const;

export interface PicoWorkerData {
  readonly image: Uint8Array;
  readonly control: SharedArrayBuffer;
  readonly received: SharedArrayBuffer;
}
