import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Journal } from './contract.js';
import { GatheredJournal } from './gather-journal.js';

/** Of a journal once it is unpacked. A packed file of a few kilobytes can hold gigabytes. */
export const mostBytes = 512 * 2 ** 20;
/** Of one line. A model of a run takes one. */
const mostLineBytes = 400 * 2 ** 20;

/**
 * Reads and checks a journal. Throws NOT_FOUND, JOURNAL_INVALID with the line where the file is no journal, is cut off, was
 * changed, or unpacks to more than `limitBytes`; and JOURNAL_MISMATCH for one of another format.
 */
export async function readJournal(
  path: string,
  { limitBytes = mostBytes }: { readonly limitBytes?: number } = {},
): Promise<Journal> {
  const found = await stat(path).catch(() => null);
  if (!found) throw new HildaError('NOT_FOUND', `there is no file ${path}`, { hint: 'Name a journal.' });
  if (!found.isFile()) throw new HildaError('JOURNAL_INVALID', `${path} is no file`);
  const gathered = new GatheredJournal();
  const sum = createHash('sha256');
  let number = 0;
  let isOver = false;
  for await (const line of linesOf(path, limitBytes)) {
    number++;
    if (isOver) throw invalid(number, 'follows the last line');
    const value = parsedLine(line, number);
    if (isEnd(value)) {
      gathered.end(value, { lines: number - 1, sha256: sum.digest('hex') });
      isOver = true;
      continue;
    }
    sum.update(line).update('\n');
    gathered.add(value, number);
  }
  if (!isOver)
    throw new HildaError('JOURNAL_INVALID', `the journal is cut off after line ${number}`, {
      hint: 'Copy or export it again.',
      details: { line: number },
    });
  return gathered.whole();
}

const isEnd = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as { line?: unknown }).line === 'end';

const invalid = (line: number, what: string): HildaError =>
  new HildaError('JOURNAL_INVALID', `line ${line} ${what}`, { details: { line } });

function parsedLine(line: Buffer, number: number): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch (cause) {
    throw new HildaError('JOURNAL_INVALID', `line ${number} is no JSON`, {
      cause,
      details: { line: number },
    });
  }
}

async function* linesOf(path: string, limitBytes: number): AsyncGenerator<Buffer> {
  const unpacked = pipeline(createReadStream(path), createGunzip(), () => {});
  let rest: Buffer[] = [];
  let restBytes = 0;
  let bytes = 0;
  try {
    for await (const piece of unpacked) {
      let left = piece as Buffer;
      bytes += left.length;
      if (bytes > limitBytes) throw tooLarge(limitBytes);
      for (let at = left.indexOf(10); at >= 0; at = left.indexOf(10)) {
        yield Buffer.concat([...rest, left.subarray(0, at)]);
        rest = [];
        restBytes = 0;
        left = left.subarray(at + 1);
      }
      if (left.length > 0) rest.push(left);
      restBytes += left.length;
      if (restBytes > mostLineBytes) throw tooLarge(mostLineBytes);
    }
  } catch (thrown) {
    if (thrown instanceof HildaError) throw thrown;
    const { message } = asHildaError(thrown);
    throw new HildaError('JOURNAL_INVALID', `the file does not unpack: ${message}`, {
      cause: thrown,
      hint: 'Journals are made by `hilda record export`.',
    });
  } finally {
    unpacked.destroy();
  }
  if (restBytes > 0) yield Buffer.concat(rest);
}

const tooLarge = (limitBytes: number): HildaError =>
  new HildaError('JOURNAL_INVALID', `the journal unpacks to more than ${limitBytes} bytes`, {
    details: { limitBytes },
  });
