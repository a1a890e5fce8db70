import { readFile, stat } from 'node:fs/promises';
import { HildaError } from '../core/errors.js';
import { openLabelled } from '../data/labelled/open-labelled.js';
import { parseTable } from '../predict/tables/table-formats.js';
import { readFigures } from './benchmark-tables/read-figures.js';
import type { DataReading } from './contract.js';
import { readExamples, readTensor } from './read-examples.js';

const maxJsonBytes = 64 * 2 ** 20;

/** Reads in this process. */
export const readHere: DataReading = {
  labelled: openLabelled,
  examples: readExamples,
  tensor: readTensor,
  tables: async (files, format) => files.map(({ name, text }) => parseTable(text, format, name)),
  figures: async (files, device) => readFigures(files, device),
  json: async (file) => {
    const refused = (why: string, cause?: unknown): HildaError =>
      new HildaError('DATA_INVALID', `${file} ${why}`, { cause });
    const found = await stat(file).catch((cause: unknown) => {
      throw refused('cannot be read', cause);
    });
    // A pipe would keep the read waiting for ever.
    if (!found.isFile() || found.size > maxJsonBytes)
      throw refused(`is no regular file of at most ${maxJsonBytes} bytes`);
    try {
      return JSON.parse(await readFile(file, 'utf8'));
    } catch (cause) {
      throw refused(`is no JSON: ${(cause as Error).message}`, cause);
    }
  },
};
