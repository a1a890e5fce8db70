import { createHash } from 'node:crypto';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import {
  endSchema,
  headerSchema,
  type Journal,
  type JournalCase,
  type JournalDevice,
  type JournalHeader,
  type JournalLine,
  type JournalMeasurement,
  type JournalTrial,
  journalFormat,
  lineSchema,
} from './contract.js';

/** Takes a journal's lines in, in order, and answers with the whole once its end was seen. */
export class GatheredJournal {
  #header: JournalHeader | undefined;
  readonly #devices: JournalDevice[] = [];
  readonly #measurements = new Map<string, JournalMeasurement>();
  readonly #launches: Journal['launches'][number][] = [];
  readonly #earlier: Journal['earlier'][number][] = [];
  readonly #trials: JournalTrial[] = [];
  readonly #cases: JournalCase[] = [];
  readonly #blobs = new Map<string, Uint8Array>();

  /** Throws JOURNAL_INVALID, and JOURNAL_MISMATCH for another format. */
  add(value: unknown, number: number): void {
    if (!this.#header) {
      this.#header = headerOf(value);
      return;
    }
    const line = parsed(lineSchema, value, `line ${number}`) as unknown as JournalLine;
    switch (line.line) {
      case 'device':
        this.#devices.push(line.device);
        return;
      case 'measurement':
        this.#measurements.set(line.measurement.id, line.measurement);
        return;
      case 'launch':
        this.#launches.push(line.launch);
        return;
      case 'earlier':
        this.#earlier.push(line.earlier);
        return;
      case 'trial':
        requireNext(line.trial.number, this.#trials.length, 'trial', number);
        this.#trials.push(line.trial);
        return;
      case 'case':
        requireNext(line.case.number, this.#cases.length, 'case', number);
        this.#cases.push(line.case);
        return;
      case 'blob':
        this.#blobs.set(line.sha256, bytesOf(line, number));
    }
  }

  /** Throws JOURNAL_INVALID where lines are missing, or are not those that were written. */
  end(value: unknown, read: { readonly lines: number; readonly sha256: string }): void {
    const end = parsed(endSchema, value, 'the last line');
    if (end.lines !== read.lines)
      throw new HildaError('JOURNAL_INVALID', `${read.lines} lines came, and ${end.lines} were written`, {
        details: { ...read },
      });
    if (end.sha256 !== read.sha256)
      throw new HildaError(
        'JOURNAL_INVALID',
        'the journal was changed after it was written: its sum differs',
        {
          details: { written: end.sha256, read: read.sha256 },
        },
      );
  }

  /** Throws JOURNAL_INVALID where something that it refers to is missing. */
  whole(): Journal {
    const header = this.#header;
    if (!header) throw new HildaError('JOURNAL_INVALID', 'the file is empty');
    const isKnown = (id: string | null): boolean => id === null || this.#measurements.has(id);
    for (const { number, measurements, heard } of this.#trials) {
      const named = [
        ...Object.values(measurements),
        ...heard.flatMap((one) => (one.kind === 'device' ? one.attempts.map((a) => a.measurementId) : [])),
      ];
      requireAll(named, isKnown, `trial ${number}`);
    }
    for (const { number, measurementId, heard } of this.#cases)
      requireAll([measurementId, ...(heard ?? []).map((a) => a.measurementId)], isKnown, `case ${number}`);
    return {
      header: header as Journal['header'],
      devices: this.#devices,
      measurements: this.#measurements,
      launches: this.#launches,
      earlier: this.#earlier,
      trials: this.#trials,
      cases: this.#cases,
      blobs: this.#blobs,
    };
  }
}

function headerOf(value: unknown): JournalHeader {
  const format = (value as { hilda?: unknown; format?: unknown } | null) ?? {};
  if (format.hilda !== 'journal') throw new HildaError('JOURNAL_INVALID', 'line 1 is no header of a journal');
  if (format.format !== journalFormat)
    throw new HildaError(
      'JOURNAL_MISMATCH',
      `the journal has the format ${String(format.format)}, and this version reads ${journalFormat}`,
      { details: { recorded: format.format, here: journalFormat } },
    );
  return parsed(headerSchema, value, 'line 1');
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new HildaError('JOURNAL_INVALID', `${what}: ${z.prettifyError(result.error).slice(0, 500)}`, {
    details: { what },
  });
}

function requireNext(number: number, next: number, what: string, line: number): void {
  if (number !== next)
    throw new HildaError('JOURNAL_INVALID', `line ${line}: ${what} ${next} is missing; ${number} came`, {
      details: { line },
    });
}

function requireAll(
  ids: readonly (string | null)[],
  isKnown: (id: string | null) => boolean,
  what: string,
): void {
  const missing = ids.find((id) => !isKnown(id));
  if (missing !== undefined)
    throw new HildaError('JOURNAL_INVALID', `${what} names the measurement ${missing}, which is missing`);
}

function bytesOf(
  { sha256, base64 }: { readonly sha256: string; readonly base64: string },
  line: number,
): Uint8Array {
  const bytes = Buffer.from(base64, 'base64');
  if (createHash('sha256').update(bytes).digest('hex') === sha256) return bytes;
  throw new HildaError('JOURNAL_INVALID', `line ${line}: the bytes are not those of ${sha256}`, {
    details: { line },
  });
}
