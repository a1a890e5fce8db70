import { switchboard } from '../present.js';
import { struckBytes } from '../switchboard.js';

const possible = ['drop', 'delay', 'truncate', 'corrupt', 'fail'] as const;

/**
 * What becomes of a file that is written, `write PATH`: late, failed, cut or changed under its name, or (`drop`) never there
 * though nobody is told: null. Throws as the file system does.
 */
export async function struckWrite(
  path: string,
  content: Uint8Array | string,
): Promise<Uint8Array | string | null> {
  const board = switchboard();
  const strike = board?.strike('file', `write ${path}`, possible);
  if (!board || !strike) return content;
  if (strike.action === 'drop') return null;
  if (strike.action === 'fail') throw fault(strike.as ?? 'ENOSPC', path);
  if (strike.action === 'delay') {
    await board.clock.sleep(strike.ms);
    return content;
  }
  return struckBytes(typeof content === 'string' ? new TextEncoder().encode(content) : content, strike);
}

/** A file that is read, `read PATH`: as above; `drop`: it is not there. */
export async function struckRead(
  path: string,
  read: (path: string) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const board = switchboard();
  const strike = board?.strike('file', `read ${path}`, possible);
  if (!board || !strike) return read(path);
  if (strike.action === 'drop') throw fault('ENOENT', path);
  if (strike.action === 'fail') throw fault(strike.as ?? 'EIO', path);
  if (strike.action === 'delay') await board.clock.sleep(strike.ms);
  const bytes = await read(path);
  return strike.action === 'delay' ? bytes : struckBytes(bytes, strike);
}

const fault = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: an injected fault, ${path}`), { code });
