import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';

/** What the file system says of faults that no other try mends, in words. */
const words: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', "the user's share of the disk is used up"],
  ['EFBIG', 'the file would be larger than the system allows'],
  ['EACCES', 'the user may not write there'],
  ['EPERM', 'the user may not write there'],
  ['EROFS', 'the file system is read-only'],
  ['ENOTDIR', 'a file stands where a folder should'],
  ['EISDIR', 'a folder stands where a file should'],
  ['EIO', 'the disk does not work'],
  ['ENOMEM', 'the memory is full'],
  ['EMFILE', 'too many files are open'],
  ['ENFILE', 'too many files are open'],
]);

/** Of the store's own code, which an agent's cache uses too. */
const storeCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DISK_FULL',
  'DISK_FAILED',
  'USAGE_INVALID',
  'STORE_CORRUPT',
]);

/**
 * PEER_STORAGE where what was thrown is this machine's storage at fault, with the folder, the system's code and ours
 * (`details.agentCode`); anything else as it is. The daemon may act on it: it is no fault of the link, nor of a network.
 */
export function storageFault(thrown: unknown, folder: string): HildaError {
  const error = asHildaError(thrown);
  const engineCode = String(error.details.engineCode ?? systemCode(thrown) ?? '');
  const said = words.get(engineCode);
  if (!said && !storeCodes.has(error.code)) return error;
  return new HildaError('PEER_STORAGE', `${folder} takes nothing: ${said ?? error.message}`, {
    cause: thrown,
    details: { folder, engineCode, agentCode: storeCodes.has(error.code) ? error.code : engineCode },
  });
}

export const isDiskFull = ({ code, details }: HildaError): boolean =>
  code === 'DISK_FULL' || details.engineCode === 'ENOSPC' || details.engineCode === 'EDQUOT';

const systemCode = (thrown: unknown): string | undefined =>
  thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
