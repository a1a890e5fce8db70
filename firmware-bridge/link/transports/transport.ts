/**
 * Bytes to and from a board. `write` resolves when the line took the bytes (not when they arrived) and rejects with
 * DEVICE_FAILED once the line is gone. `onBytes` and `onClose` each have one listener; the second call replaces the
 * first. `close` may be called in any state, more than once.
 */
export interface Transport {
  /** What the line is called, for messages: a path or an address. */
  readonly name: string;
  write(bytes: Uint8Array): Promise<void>;
  onBytes(listener: (bytes: Uint8Array) => void): void;
  /** Hears once that the line is gone, with the reason, unless `close` was called. */
  onClose(listener: (reason: string) => void): void;
  /** Restarts the board by the line's own means (control lines, a new emulator), where it has any. */
  restart?(): Promise<void>;
  close(): Promise<void>;
}
