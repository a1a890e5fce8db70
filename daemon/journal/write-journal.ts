import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { HildaError } from '../core/errors.js';
import type { JournalHeader, JournalLine } from './contract.js';
import { mostBytes } from './read-journal.js';

/** A journal as gzip of JSON, one value a line. Throws JOURNAL_INVALID where it is larger than a reader takes. */
export function packJournal(header: JournalHeader, lines: AsyncIterable<JournalLine>): Promise<Buffer> {
  const packed = createGzip();
  const source = Readable.from(bytesOf(header, lines), { objectMode: false });
  source.on('error', (error) => packed.destroy(error));
  return buffer(source.pipe(packed));
}

async function* bytesOf(header: JournalHeader, lines: AsyncIterable<JournalLine>): AsyncGenerator<Buffer> {
  const sum = createHash('sha256');
  let count = 0;
  let bytes = 0;
  const packed = (value: unknown): Buffer => {
    const line = Buffer.from(`${JSON.stringify(value)}\n`);
    bytes += line.length;
    if (bytes > mostBytes)
      throw new HildaError('JOURNAL_INVALID', `the journal has more than ${mostBytes} bytes`, {
        hint: 'Export a smaller study.',
      });
    sum.update(line);
    count++;
    return line;
  };
  yield packed(header);
  for await (const line of lines) yield packed(line);
  yield Buffer.from(`${JSON.stringify({ line: 'end', lines: count, sha256: sum.digest('hex') })}\n`);
}
