import { HildaError } from '../../../daemon/core/errors.js';
import { code, type RecordFields } from '../layout/format.js';

/** The largest numbers that a record can say or a board takes (hilda_program.h, ABI.md). */
const most = { rows: 2 ** 20, width: 65_535, normWidth: 4096, copyWidth: 2 ** 24, taps: 64, step: 255 };

const moves: ReadonlySet<number> = new Set([code.copy, code.fill, code.fetch]);

/**
 * Throws NETWORK_TOO_LARGE for a record that would say another number than it means: fields of a window have 8 or 16 bits,
 * and boards bound the rest.
 */
export function checkLimits({ code: kind, rows, window, transpose }: RecordFields, name: string): void {
  const check = (value: number | undefined, limit: number, what: string): void => {
    if (value === undefined || (value >= 0 && value <= limit)) return;
    throw new HildaError(
      'NETWORK_TOO_LARGE',
      `node ${name}: its ${what} is ${value}, at most ${limit} can run`,
      {
        details: { node: name, what, value, limit },
      },
    );
  };
  if (rows) {
    check(rows.rows, most.rows, 'number of rows');
    const widest =
      kind === code.layerNorm ? most.normWidth : moves.has(kind ?? 0) ? most.copyWidth : most.width;
    check(rows.n, widest, 'row');
    if (kind === code.linear || kind === code.matmul) check(rows.k, most.width, 'depth');
  }
  if (window) {
    check(window.inHeight, most.width, 'input height');
    check(window.inWidth, most.width, 'input width');
    check(window.inChannels, most.width, 'number of input channels');
    check(window.outHeight, most.width, 'output height');
    check(window.outWidth, most.width, 'output width');
    check(window.outChannels, most.width, 'number of output channels');
    for (const size of window.kernel) check(size, most.width, 'kernel');
    for (const step of [...window.stride, ...window.dilation]) check(step, most.step, 'stride or dilation');
    for (const pad of [window.padTop, window.padLeft]) check(pad, most.width, 'padding');
    const [height, width] = window.kernel;
    if (kind === code.depthwise) check(height * width, most.taps, 'number of taps a channel');
    if (kind === code.conv2d) check(height * width * window.inChannels, most.width, 'depth');
  }
  for (const size of transpose?.sizes ?? []) check(size, most.width, 'axis that moves');
}
