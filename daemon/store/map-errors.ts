import { type ErrorCode, HildaError } from '../core/errors.js';

/** By the engine's own code. What is not listed here is a defect of ours. */
const codes: Readonly<Record<string, ErrorCode>> = {
  SQLITE_FULL: 'DISK_FULL',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  SQLITE_IOERR: 'DISK_FAILED',
  EIO: 'DISK_FAILED',
  SQLITE_CORRUPT: 'STORE_CORRUPT',
  SQLITE_NOTADB: 'STORE_CORRUPT',
  SQLITE_BUSY: 'STORE_BUSY',
  SQLITE_LOCKED: 'STORE_BUSY',
};

/** The machine has no more of something for now. */
const short: Readonly<Record<string, string>> = {
  SQLITE_NOMEM: 'memory',
  ENOMEM: 'memory',
  EMFILE: 'open files',
  ENFILE: 'open files',
};

/** A data folder that cannot be used is the caller's choice to correct. */
const unusable: ReadonlySet<string> = new Set([
  'SQLITE_CANTOPEN',
  'SQLITE_READONLY',
  'SQLITE_PERM',
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
]);

/** Turns an engine's or the file system's error into ours; errors of ours pass. */
export function mapStoreError(thrown: unknown, what: string): unknown {
  if (thrown instanceof HildaError || !(thrown instanceof Error)) return thrown;
  if (thrown.name === 'KnexTimeoutError')
    return new HildaError('STORE_BUSY', `${what}: the store has more to do than it can`, {
      cause: thrown,
      hint: 'Try again.',
    });
  const engineCode = String((thrown as { code?: unknown }).code ?? '');
  // Knex puts the whole statement with its values before the engine's words.
  const message = `${what}: ${thrown.message.slice(Math.max(0, thrown.message.lastIndexOf(`${engineCode}:`)))}`;
  const lacking = Object.hasOwn(short, engineCode) ? short[engineCode] : undefined;
  if (lacking)
    return new HildaError('STORE_BUSY', message, {
      cause: thrown,
      hint: `The process has no more ${lacking}. Raise its limit, or try again with less work.`,
      details: { engineCode },
    });
  const code = Object.hasOwn(codes, engineCode) ? codes[engineCode] : undefined;
  if (code) return new HildaError(code, message, { cause: thrown, details: { engineCode } });
  if (unusable.has(engineCode)) {
    const hint = 'Name a folder this user may write to with --data.';
    return new HildaError('USAGE_INVALID', message, { cause: thrown, hint, details: { engineCode } });
  }
  return new HildaError('INTERNAL', message, { cause: thrown, details: { engineCode } });
}
