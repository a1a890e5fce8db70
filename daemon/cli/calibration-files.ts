import { extname } from 'node:path';
import { zipSync } from 'fflate';
import type { DeploymentRequest } from '../api/measurement-schemas.js';
import { HildaError } from '../core/errors.js';
import type { ArraySource } from '../data/contract.js';
import { examplesOf } from '../data/examples.js';
import { opened } from '../data/file-bytes.js';
import type { ImageOptions } from '../data/images.js';
import { readJsonArrays } from '../data/json-arrays.js';
import { openNpz } from '../data/npz.js';
import { openArrays, openStored } from '../data/open-arrays.js';
import { rawArray } from '../data/raw.js';
import { npyOf } from '../data/write-npy.js';
import type { Calibrating } from '../devices/contract.js';
import { parseRanges } from '../devices/stored-ranges.js';
import { elementCount } from '../network/graph.js';
import {
  type CalibrationData,
  closedDims,
  combineSources,
  exampleType,
  flatExamples,
  type InputShape,
} from '../runtime/calibration-data.js';
import { floatsFrom } from '../runtime/element-types.js';
import type { CalibrationOptions } from './calibration-options.js';
import type { CliContext } from './context.js';
import { readInput } from './read-input.js';

/** What a network of this process is quantised by. Throws as `calibrationFrom` does. */
export async function calibratingFrom(
  options: CalibrationOptions,
  inputs: readonly InputShape[],
): Promise<Calibrating> {
  if (options.ranges === undefined) {
    const calibration = await calibrationFrom(options, inputs);
    return calibration ? { calibration } : {};
  }
  if (options.calibration.length > 0)
    throw new HildaError('USAGE_INVALID', '--ranges and --calibration are two answers to one question');
  return { ranges: parseRanges(await readInput(options.ranges)) };
}

/**
 * The examples of all sources, opened and not read; null where none were named. Throws NOT_FOUND, DATA_INVALID, and
 * REQUEST_INVALID where inputs are left out or their examples do not pair.
 */
async function calibrationFrom(
  { calibration, ranges: _, ...images }: CalibrationOptions,
  inputs: readonly InputShape[],
): Promise<CalibrationData | null> {
  if (calibration.length === 0) return null;
  const options = { images: imageOptions(images) };
  const sources = new Map<string, ArraySource[]>();
  const flat: Float32Array[] = [];
  const add = (name: string, source: ArraySource): void => {
    sources.set(name, [...(sources.get(name) ?? []), source]);
  };
  for (const given of calibration) {
    const at = given.indexOf('=');
    const named = at > 0 ? inputs.find(({ name }) => name === given.slice(0, at)) : undefined;
    const path = named ? given.slice(at + 1) : given;
    const names = /\.(npz|json)$/i.test(path) ? await namesIn(path) : null;
    const asked = named ? [named] : inputs;
    if (asked.length === 1 || names)
      for (const input of asked) {
        // A file with one array may call it anything where it is for one input.
        const array = names?.includes(input.name) || asked.length > 1 ? input.name : undefined;
        add(input.name, await openFor(input, path, names ? array : undefined));
      }
    else flat.push(...(await flatFrom(path, inputs)));
  }
  if (flat.length > 0 && sources.size > 0)
    throw new HildaError(
      'REQUEST_INVALID',
      'the calibration mixes files of one input with files of all inputs',
      {
        hint: `Name the input of each: ${inputs.map(({ name }) => `--calibration ${name}=FILE`).join(' ')}.`,
      },
    );
  if (flat.length > 0) return flatExamples(inputs, flat);
  return combineSources(inputs, new Map([...sources].map(([name, list]) => [name, joined(list)])));

  async function openFor(input: InputShape, path: string, array?: string): Promise<ArraySource> {
    const type = exampleType(input);
    const dims = closedDims(input);
    if (/\.json$/i.test(path)) {
      const stored = await openStored(path, array === undefined ? {} : { array });
      // One list of numbers may be an example of any shape.
      return examplesOf({ ...stored, shapeless: stored.dims.length === 1 }, dims);
    }
    if (!hasReader(path)) return examplesOf(await opened(path, (bytes) => rawArray(bytes, 'float32')), dims);
    return openArrays(path, {
      ...options,
      dims,
      as: type,
      rawType: type,
      ...(array !== undefined && { array }),
    });
  }
}

const imageOptions = ({
  pixels,
  mean,
  std,
  layout,
}: Omit<CalibrationOptions, 'calibration' | 'ranges'>): ImageOptions => ({
  ...(pixels && { range: pixels as [number, number] }),
  ...(mean && { mean }),
  ...(std && { deviation: std }),
  ...(layout && { layout }),
});

/** Files of any other name are float32 without a header. */
const hasReader = (path: string): boolean =>
  [
    '.npy',
    '.npz',
    '.json',
    '.bin',
    '.raw',
    '.f32',
    '.idx',
    '.png',
    '.jpg',
    '.jpeg',
    '.wav',
    '',
    '.gz',
  ].includes(extname(path).toLowerCase()) || /-ubyte$/.test(path);

/** Names of the arrays in a file; null for one array without a name. */
async function namesIn(path: string): Promise<readonly string[] | null> {
  if (/\.json$/i.test(path)) {
    const json = await readJsonArrays(path);
    return json.kind === 'named' ? [...json.arrays.keys()] : null;
  }
  const archive = await openNpz(path);
  await archive.close();
  return archive.names;
}

/** One example or several, each with the values of all inputs one behind the other. */
async function flatFrom(path: string, inputs: readonly InputShape[]): Promise<Float32Array[]> {
  const total = inputs.reduce((sum, input) => sum + elementCount(closedDims(input)), 0);
  const array = hasReader(path)
    ? await openStored(path)
    : await opened(path, (bytes) => rawArray(bytes, 'float32'));
  try {
    const count = elementCount(array.dims);
    const values = floatsFrom('float32', await array.elements(0, count));
    if (count === 0 || count % total !== 0)
      throw new HildaError(
        'REQUEST_INVALID',
        `${path} has ${count} values, the inputs ${inputs.map(({ name }) => name).join(', ')} take ${total} together`,
        { hint: `Give each its own: ${inputs.map(({ name }) => `--calibration ${name}=FILE`).join(' ')}.` },
      );
    return Array.from({ length: count / total }, (_, i) => values.subarray(i * total, (i + 1) * total));
  } finally {
    await array.close();
  }
}

/** Sources one behind the other. */
function joined(sources: readonly ArraySource[]): ArraySource {
  const [first] = sources as [ArraySource];
  if (sources.length === 1) return first;
  return {
    ...first,
    count: sources.reduce((sum, { count }) => sum + count, 0),
    // One at a time: that is how calibration reads.
    async examples(from) {
      let at = from;
      for (const source of sources) {
        if (at < source.count) return source.examples(at, at + 1);
        at -= source.count;
      }
      throw new RangeError(`there is no example ${from}`);
    },
    async close() {
      for (const source of sources) await source.close();
    },
  };
}

const pieceBytes = 8 * 2 ** 20;

/** What a deployment's request says of its scales, once the examples or ranges are uploaded. */
export async function uploadCalibrating(
  { calibration, ranges }: Calibrating,
  inputs: readonly InputShape[],
  context: CliContext,
): Promise<Pick<DeploymentRequest, 'calibration' | 'ranges'>> {
  if (ranges) {
    const bytes = new TextEncoder().encode(JSON.stringify(ranges));
    return { ranges: (await context.client.uploadBlob(bytes, context)).sha256 };
  }
  if (!calibration || !('feeds' in calibration)) return {};
  return { calibration: { blobs: await uploadExamples(calibration, inputs, context) } };
}

/** In pieces of a few megabytes; answers with their ids. */
async function uploadExamples(
  data: CalibrationData,
  inputs: readonly InputShape[],
  context: CliContext,
): Promise<string[]> {
  const one = inputs.reduce((sum, input) => sum + 8 * elementCount(closedDims(input)), 0);
  const atOnce = Math.max(1, Math.floor(pieceBytes / one));
  const blobs: string[] = [];
  let waiting: Uint8Array[][] = [];
  const send = async (): Promise<void> => {
    const files = inputs.map((input, i): [string, Uint8Array] => {
      const type = exampleType(input);
      const bytes = Buffer.concat(waiting.map((example) => example[i] as Uint8Array));
      return [`${input.name}.npy`, npyOf(bytes, type, [waiting.length, ...closedDims(input)])];
    });
    waiting = [];
    const piece = zipSync(Object.fromEntries(files), { level: 0, mtime: new Date(Date.UTC(1980, 0, 2)) });
    blobs.push((await context.client.uploadBlob(piece, context)).sha256);
  };
  for await (const feed of data.feeds()) {
    waiting.push(
      inputs.map(({ name }) => {
        const { data } = feed[name] as { data: Uint8Array };
        return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      }),
    );
    if (waiting.length === atOnce) await send();
  }
  if (waiting.length > 0) await send();
  return blobs;
}
