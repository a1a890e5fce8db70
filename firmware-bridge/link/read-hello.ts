import { HildaError } from '../../daemon/core/errors.js';
import { abi } from '../compiler/layout/format.js';
import { type Hello, linkVersions, parseHello } from './messages.js';

/** Of a payload and of the window, below which nothing can be sent in pieces. */
const leastBytes = 64;

/** What a board says about itself. Throws FIRMWARE_MISMATCH where it speaks another version, or nothing that is known. */
export function readHello(payload: Uint8Array): Hello {
  try {
    const hello = parseHello(payload);
    const versions = { link: hello.linkVersion, abi: hello.abi };
    const { oldest, newest } = linkVersions;
    if (oldest <= versions.link && versions.link <= newest && versions.abi === abi) {
      if (hello.maxPayloadBytes < leastBytes || hello.windowBytes < leastBytes)
        throw new RangeError(`payloads of ${hello.maxPayloadBytes}, a window of ${hello.windowBytes} bytes`);
      return hello;
    }
    const older = versions.link < oldest || versions.abi < abi;
    throw new HildaError(
      'FIRMWARE_MISMATCH',
      `the firmware of ${hello.board || 'the board'} speaks version ${versions.link} of the link and takes programs of ABI ${versions.abi}; this daemon has ${newest} and ${abi}`,
      {
        hint: older
          ? 'Flash the board again: `hilda devices flash` has the firmware of this version.'
          : 'The board was flashed by a newer hilda: bring this one up to date, or flash the board again.',
        details: { board: hello.board, buildHash: hello.buildHash, ...versions },
      },
    );
  } catch (cause) {
    if (cause instanceof HildaError) throw cause;
    throw new HildaError('FIRMWARE_MISMATCH', 'the board answers hello with something else', { cause });
  }
}
