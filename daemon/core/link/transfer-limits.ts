import { HildaError } from '../errors.js';
import { formatBytes, formatDuration } from '../quantities.js';

export interface TransferProgress {
  /** Who is at the other end, e.g. `the page browser-3f2a91`. */
  readonly peer: string;
  readonly bytes: number;
  readonly done: number;
  /** Of `done`, what came in the elapsed time. */
  readonly came: number;
  readonly elapsedMs: number;
  /** Since bytes were acknowledged last, with the line up. */
  readonly stillMs: number;
  readonly bytesPerS: number | null;
}

/**
 * How long a peer whose line broke is waited for. Its work goes on meanwhile, and its result counts. Ordinary breaks last up to
 * two minutes (a restarted router, a lift, a tunnel), besides the time that both sides take to notice one and to meet again.
 */
export const mostAwayMs = 180_000;

/** A transfer may take this long, by the rate that the line shows. */
export const longestTransferMs = 2 * 3_600_000;
/** The first seconds say little of a line's rate. */
const judgedAfterMs = 20_000;
/** A line that is up and acknowledges nothing for this long carries nothing. */
const stillLimitMs = 60_000;

/** LINE_TOO_SLOW, in words that name the line, where the bytes will not come in an acceptable time; null otherwise. */
export function transferFault(progress: TransferProgress): HildaError | null {
  const { peer, bytes, done, came, elapsedMs, stillMs } = progress;
  // A bad minute of a line that was good so far is not the whole line.
  const bytesPerS = progress.bytesPerS && Math.max(progress.bytesPerS, (1000 * came) / elapsedMs);
  const details = { bytes, done, elapsedMs, bytesPerS };
  const whole = formatBytes(bytes);
  if (stillMs > stillLimitMs)
    return new HildaError(
      'LINE_TOO_SLOW',
      `the line to ${peer} carried ${formatBytes(done)} of ${whole}, then nothing for ${formatDuration(stillMs)}`,
      { details },
    );
  if (bytesPerS === null || elapsedMs < judgedAfterMs) return null;
  const restMs = ((bytes - done) / bytesPerS) * 1000;
  if (elapsedMs + restMs <= longestTransferMs) return null;
  return new HildaError(
    'LINE_TOO_SLOW',
    `the line to ${peer} carries ${formatRate(bytesPerS)}: ${whole} would take ${formatDuration(elapsedMs + restMs)}, and ${formatDuration(longestTransferMs)} are allowed`,
    { details },
  );
}

/** Bits, as lines are sold. */
export function formatRate(bytesPerS: number): string {
  const bits = 8 * bytesPerS;
  if (bits < 1e6) return `${Math.round(bits / 1e3)} kbit/s`;
  return `${(bits / 1e6).toPrecision(2)} Mbit/s`;
}
