import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Clock } from '../core/clock.js';
import type { LabelledImages } from '../data/labelled/labelled-images.js';
import { type LabelledSpec, labelledPaths } from '../data/labelled/spec.js';
import { examplesInMemory } from '../runtime/calibration-data.js';
import { readBytes, readFloats } from './array-files.js';
import type { DataReading } from './contract.js';
import type { HandedData } from './messages.js';
import { ReadingProcess } from './reading-process.js';

/** A data set lies in memory whole, and its images are decoded one by one. */
const dataMs = 30 * 60_000;
const dataAddressBytes = 24 * 2 ** 30;

/**
 * Reads data sets, arrays and tables in child processes of bounded memory and time. A data set may take minutes: the others do
 * not wait for it. Throws what reading throws; DATA_INVALID and TABLE_INVALID for files that take a child's memory or time up.
 */
export class DataReader implements DataReading {
  readonly #data: ReadingProcess;
  readonly #arrays: ReadingProcess;
  readonly #tables: ReadingProcess;

  /** `folder`: of its own, for what is handed over. */
  constructor({ clock, folder }: { readonly clock: Clock; readonly folder: string }) {
    this.#data = new ReadingProcess({
      clock,
      folder: join(folder, 'sets'),
      timeoutMs: dataMs,
      addressSpaceBytes: dataAddressBytes,
    });
    // Every board that is calibrated asks for its examples, piece by piece.
    this.#arrays = new ReadingProcess({ clock, folder: join(folder, 'arrays'), mostWaiting: 4096 });
    this.#tables = new ReadingProcess({ clock });
  }

  labelled: DataReading['labelled'] = (spec, expected) =>
    // A child that held a data set ends, and gives its memory back.
    this.#data.inTurn({ bytes: Number.POSITIVE_INFINITY, code: 'DATA_INVALID' }, (ask) =>
      inFolder(this.#data, async (folder) => {
        const handed = await ask({ op: 'labelled', spec: resolved(spec), expected, folder });
        const [train, calibration, validation] = [
          await taken(handed.train),
          await taken(handed.calibration),
          await taken(handed.validation),
        ];
        return { record: handed.record, train, calibration, validation };
      }),
    );

  examples: DataReading['examples'] = (bytes, inputs) =>
    this.#arrays.inTurn({ bytes: bytes.byteLength, code: 'DATA_INVALID' }, (ask) =>
      inFolder(this.#arrays, async (folder) => {
        const shapes = inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims }));
        const { count, files } = await this.#arrays.handed(bytes, (piece) =>
          ask({ op: 'examples', piece, inputs: shapes, folder }),
        );
        return examplesInMemory(shapes, count, await Promise.all(files.map(readBytes)));
      }),
    );

  tensor: DataReading['tensor'] = (bytes, dtype, name) =>
    this.#arrays.inTurn({ bytes: bytes.byteLength, code: 'DATA_INVALID' }, (ask) =>
      inFolder(this.#arrays, async (folder) => {
        const { dims, file } = await this.#arrays.handed(bytes, (array) =>
          ask({ op: 'tensor', array, dtype, name, folder }),
        );
        return { dtype, dims, data: await readBytes(file) };
      }),
    );

  json: DataReading['json'] = (file) =>
    this.#tables.inTurn({ bytes: 0, code: 'DATA_INVALID' }, (ask) =>
      ask({ op: 'json', file: resolve(file) }),
    );

  tables: DataReading['tables'] = (files, format) =>
    this.#tables.inTurn(
      { bytes: files.reduce((sum, { text }) => sum + text.length, 0), code: 'TABLE_INVALID' },
      (ask) => ask({ op: 'tables', files, format }),
    );

  figures: DataReading['figures'] = (files, device) =>
    this.#tables.inTurn(
      { bytes: files.reduce((sum, { text }) => sum + text.length, 0), code: 'TABLE_INVALID' },
      (ask) => ask({ op: 'figures', files, device }),
    );

  async stop(): Promise<void> {
    await Promise.all([this.#data, this.#arrays, this.#tables].map((one) => one.stop()));
  }
}

/** What is handed over lies in a folder of its own, as long as `work` takes. */
async function inFolder<T>(reading: ReadingProcess, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(await reading.made(), randomUUID());
  await mkdir(folder, { mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

/** The child runs in a folder of its own: paths are those of this process. */
function resolved(spec: LabelledSpec): LabelledSpec {
  const paths = Object.entries(spec).filter(([key]) => (labelledPaths as readonly string[]).includes(key));
  return { ...spec, ...Object.fromEntries(paths.map(([key, path]) => [key, resolve(path as string)])) };
}

async function taken({ file, ...part }: HandedData['train']): Promise<LabelledImages> {
  return { ...part, pixels: await readFloats(file) };
}
